package fsm

// cell is where a node stands. Tree and index point to cells, so that replacing a node takes one store to its cell
// and no walk down the tree. A cell that a frozen View can see must keep its node: see Machine.replace.
type cell struct {
	node  *Node
	epoch uint64 // how many times the machine had been frozen when the cell was made
}

const (
	minSlots = 16

	// maxProbe is how many slots after its own a cell may lie. Keys can be made to share a hash, and must not make
	// everybody wait for walks along all of them: those that find no slot are found in the tree.
	maxProbe = 256
)

// hashIndex finds the cell of a key by the key's hash: open addressing with linear probing, at most three quarters
// full. The tags lie apart from the cells, so a probe touches no other key's memory unless 32 bits of hashes agree.
// It belongs to the machine alone; the zero value, which a frozen View has, knows no key and says so.
type hashIndex struct {
	tags    []uint32 // the upper half of the hash of what is in cells, 0 for an empty slot
	cells   []*cell
	shift   uint // from a tag to the slot where its probes begin
	count   int  // cells in the slots
	missing int  // cells that found no slot within maxProbe
}

func newIndex() hashIndex {
	var x hashIndex
	x.resize(minSlots)
	return x
}

func tagOf(hash uint64) uint32 { return max(uint32(hash>>32), 1) }

// find returns the cell of key. If it is nil, sure says that there is none; otherwise the tree has to be asked.
func (x *hashIndex) find(hash uint64, key string) (c *cell, sure bool) {
	if i := x.slot(hash, key); i >= 0 {
		return x.cells[i], true
	}
	return nil, x.tags != nil && x.missing == 0
}

// slot returns the slot that holds key, -1 if none does.
func (x *hashIndex) slot(hash uint64, key string) int {
	if len(x.tags) == 0 {
		return -1
	}
	tag := tagOf(hash)
	i, mask := int(tag>>x.shift), len(x.tags)-1
	for range maxProbe {
		switch t := x.tags[i&mask]; {
		case t == 0:
			return -1
		case t == tag && x.cells[i&mask].node.Key == key:
			return i & mask
		}
		i++
	}
	return -1
}

// WarmBatch is how many keys are looked up side by side: about as many loads as a processor has under way at a time.
const WarmBatch = 16

// warm loads what finding the keys of these hashes, at most WarmBatch, will load. One after the other each lookup would
// wait for three or four loads, each of which needs the one before and misses the cache in a large state; side by side
// they wait together. The sum means nothing: it keeps the compiler from leaving the loads out.
func (x *hashIndex) warm(hashes []uint64) (sum int) {
	if len(x.tags) == 0 {
		return 0
	}
	var cells [WarmBatch]*cell
	mask := len(x.tags) - 1
	for n, hash := range hashes[:min(len(hashes), WarmBatch)] {
		tag := tagOf(hash)
		i := int(tag >> x.shift)
		for last := i + maxProbe; i < last && x.tags[i&mask] != 0; i++ {
			if x.tags[i&mask] == tag {
				cells[n] = x.cells[i&mask]
				break
			}
		}
	}
	var nodes [WarmBatch]*Node
	for n, c := range cells {
		if c != nil {
			nodes[n] = c.node
		}
	}
	for _, n := range nodes {
		if n != nil {
			sum += len(n.Key) + len(n.Value)
		}
	}
	for _, n := range nodes {
		if n != nil {
			sum += int(n.Key[0])
			if len(n.Value) > 0 {
				sum += int(n.Value[0])
			}
		}
	}
	return sum
}

// insert adds the cell of a key that is not there yet.
func (x *hashIndex) insert(hash uint64, c *cell) {
	if 4*(x.count+1) > 3*len(x.tags) {
		x.resize(2 * len(x.tags))
	}
	x.place(tagOf(hash), c)
}

func (x *hashIndex) place(tag uint32, c *cell) {
	i, mask := int(tag>>x.shift), len(x.tags)-1
	for range maxProbe {
		if x.tags[i&mask] == 0 {
			x.tags[i&mask], x.cells[i&mask] = tag, c
			x.count++
			return
		}
		i++
	}
	x.missing++
}

// replace puts c where the cell of the same key is.
func (x *hashIndex) replace(hash uint64, c *cell) {
	if i := x.slot(hash, c.node.Key); i >= 0 {
		x.cells[i] = c
	}
}

// remove takes out the cell of a key that is there. What lies behind it moves up, so no slot is ever lost to marks of
// what was deleted.
func (x *hashIndex) remove(hash uint64, key string) {
	i := x.slot(hash, key)
	if i < 0 {
		x.missing--
		return
	}
	mask := len(x.tags) - 1
	for j := (i + 1) & mask; x.tags[j] != 0; j = (j + 1) & mask {
		home := int(x.tags[j] >> x.shift)
		if (j-home)&mask >= (j-i)&mask {
			x.tags[i], x.cells[i] = x.tags[j], x.cells[j]
			i = j
		}
	}
	x.tags[i], x.cells[i] = 0, nil
	x.count--
	if 8*x.count < len(x.tags) && len(x.tags) > minSlots {
		x.resize(len(x.tags) / 2)
	}
}

// resize moves all cells to that many slots, a power of two. It reads tags only, and those in the order in which
// they come to lie, so it takes milliseconds for a million keys.
func (x *hashIndex) resize(slots int) {
	old := *x
	x.tags, x.cells = make([]uint32, slots), make([]*cell, slots)
	x.count = 0
	x.shift = 32
	for n := slots; n > 1; n /= 2 {
		x.shift--
	}
	for i, tag := range old.tags {
		if tag != 0 {
			x.place(tag, old.cells[i])
		}
	}
}
