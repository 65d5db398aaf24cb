package fsm

import (
	"cmp"
	"slices"
	"strconv"
)

// The catalogue is the cluster's own part of the state: which groups there are beside group 0, and who is to hold them. Only
// the state of group 0 has one. It is no key, it counts as none, and no flush removes it. The operations on it stand in
// entries of their own kind, never in a Batch or Txn. What they refuse is ErrInvalid, ErrExists and ErrNoSuchKey, with the
// group or node as Path.

// Bounds on the catalogue.
const (
	MaxGroup      = 255 // the greatest id
	MaxGroupNodes = 64  // of one group; also nodes that are leaving
	maxNodeName   = 64  // bytes
	maxAddress    = 512 // bytes
)

// GroupRecord is what the catalogue says of a group. Records and their lists never change; a change puts others in their
// place.
type GroupRecord struct {
	ID         int    // 1 to MaxGroup
	Generation uint64 // index of the entry that added the group: ids may come back, generations do not

	// Everywhere means that all nodes of the cluster are to hold the group, with the vote that they have in group 0.
	Everywhere bool

	// Founders have the first configuration of the group, in this order. It never changes, so that each of them makes the
	// same one, whenever it comes to it.
	Founders []Founder

	// Nodes are to hold the group, ordered by id. It is empty if Everywhere is set.
	Nodes []GroupNode
}

// Founder is a node of a group's first configuration.
type Founder struct {
	ID, Address string
	Voter       bool
	Left        bool // it was to leave the group since then, and must not found it again
}

// GroupNode is a node that is to hold a group.
type GroupNode struct {
	ID    string
	Voter bool
}

// catalog is one state of the catalogue. It never changes.
type catalog struct {
	groups  []GroupRecord // ordered by ID
	leaving []string      // nodes that are to leave all groups, ordered
	index   uint64        // of the entry that changed the catalogue last, or of the snapshot that it was read from
}

// Groups returns the records of all groups but group 0, ordered by ID. The caller must not change them; they stay good for
// ever.
func (v View) Groups() []GroupRecord { return v.s.catalog.groups }

// Leaving returns the ids of nodes that are to leave all groups, ordered. The caller must not change them.
func (v View) Leaving() []string { return v.s.catalog.leaving }

// CatalogIndex is another one whenever Groups or Leaving may be.
func (v View) CatalogIndex() uint64 { return v.s.catalog.index }

func (c *catalog) find(id int) (at int, ok bool) {
	return slices.BinarySearchFunc(c.groups, id, func(r GroupRecord, id int) int { return cmp.Compare(r.ID, id) })
}

// group finds the group with that id and generation.
func (c *catalog) group(id int, generation uint64) (at int, no *Refusal) {
	at, ok := c.find(id)
	if !ok || c.groups[at].Generation != generation {
		return 0, &Refusal{Code: NoSuchKey, Path: strconv.Itoa(id)}
	}
	return at, nil
}

// records is how many records the catalogue takes in a snapshot.
func (c *catalog) records() int { return len(c.groups) + len(c.leaving) }

// change puts a changed copy of the catalogue in its place.
func (m *Machine) change(fn func(*catalog)) Result {
	c := &catalog{slices.Clone(m.catalog.groups), slices.Clone(m.catalog.leaving), m.index}
	fn(c)
	m.catalog = c
	return done
}

// AddGroup adds a group. Result: Int is its generation.
type AddGroup struct {
	ID         int
	Everywhere bool      // else the founders are to hold it
	Founders   []Founder // at least one Voter; nobody has Left
}

func (o *AddGroup) apply(m *Machine) Result {
	r := GroupRecord{ID: o.ID, Generation: m.index, Everywhere: o.Everywhere, Founders: slices.Clone(o.Founders)}
	if !o.Everywhere {
		for _, f := range o.Founders {
			r.Nodes = append(r.Nodes, GroupNode{f.ID, f.Voter})
		}
		slices.SortFunc(r.Nodes, byNodeID)
	}
	left := slices.ContainsFunc(o.Founders, func(f Founder) bool { return f.Left })
	if left || !r.valid() {
		return refused(&Refusal{Code: Invalid, Path: strconv.Itoa(o.ID)})
	}
	at, exists := m.catalog.find(o.ID)
	if exists {
		return refused(&Refusal{Code: Exists, Path: strconv.Itoa(o.ID)})
	}
	m.change(func(c *catalog) { c.groups = slices.Insert(c.groups, at, r) })
	return Result{Int: int64(r.Generation)}
}

func byNodeID(a, b GroupNode) int { return cmp.Compare(a.ID, b.ID) }

// valid reports whether the catalogue can hold the record.
func (r *GroupRecord) valid() bool {
	if r.ID < 1 || r.ID > MaxGroup || r.Generation == 0 || len(r.Founders) > MaxGroupNodes || len(r.Nodes) > MaxGroupNodes {
		return false
	}
	voters := 0
	for i, f := range r.Founders {
		same := func(g Founder) bool { return g.ID == f.ID || g.Address == f.Address }
		if !validNode(f.ID) || f.Address == "" || len(f.Address) > maxAddress || slices.ContainsFunc(r.Founders[:i], same) {
			return false
		}
		if f.Voter {
			voters++
		}
	}
	for i, n := range r.Nodes {
		if !validNode(n.ID) || i > 0 && r.Nodes[i-1].ID >= n.ID {
			return false
		}
	}
	return voters > 0 && !(r.Everywhere && len(r.Nodes) > 0)
}

func validNode(id string) bool { return id != "" && len(id) <= maxNodeName }

// RemoveGroup removes a group.
type RemoveGroup struct {
	ID         int
	Generation uint64
}

func (o *RemoveGroup) apply(m *Machine) Result {
	at, no := m.catalog.group(o.ID, o.Generation)
	if no != nil {
		return refused(no)
	}
	return m.change(func(c *catalog) { c.groups = slices.Delete(c.groups, at, at+1) })
}

// Role is what a node is to do in a group.
type Role uint8

// The roles.
const (
	NoRole  Role = iota // it is not to hold the group
	Learner             // it holds the group and has no vote
	Voter
)

// SetGroupNode says what a node is to do in a group that does not live everywhere. At least one voter must stay.
type SetGroupNode struct {
	ID         int
	Generation uint64
	Node       string
	Role       Role
}

func (o *SetGroupNode) apply(m *Machine) Result {
	at, no := m.catalog.group(o.ID, o.Generation)
	if no != nil {
		return refused(no)
	}
	old := m.catalog.groups[at]
	r := old.with(o.Node, o.Role)
	voters := slices.ContainsFunc(r.Nodes, func(n GroupNode) bool { return n.Voter })
	if old.Everywhere || !voters || o.Role > Voter || !r.valid() {
		return refused(&Refusal{Code: Invalid, Path: o.Node})
	}
	return m.change(func(c *catalog) { c.groups[at] = r })
}

// with returns the record with another role for a node.
func (r GroupRecord) with(node string, role Role) GroupRecord {
	at, found := slices.BinarySearchFunc(r.Nodes, node, func(n GroupNode, id string) int { return cmp.Compare(n.ID, id) })
	r.Nodes = slices.Clone(r.Nodes)
	switch {
	case role == NoRole:
		if found {
			r.Nodes = slices.Delete(r.Nodes, at, at+1)
		}
		r.Founders = slices.Clone(r.Founders)
		for i := range r.Founders {
			r.Founders[i].Left = r.Founders[i].Left || r.Founders[i].ID == node
		}
	case found:
		r.Nodes[at].Voter = role == Voter
	default:
		r.Nodes = slices.Insert(r.Nodes, at, GroupNode{node, role == Voter})
	}
	return r
}

// Departure is a step of a node's way out of the cluster.
type Departure uint8

// The steps.
const (
	Stays  Departure = iota // it does not go after all
	Leaves                  // it is to leave all groups but group 0
	Gone                    // it has left them: no record names it any more, and as a founder it has Left
)

// NodeLeaves changes all groups for a node that is to be taken out of the cluster.
type NodeLeaves struct {
	Node string
	Step Departure
}

func (o *NodeLeaves) apply(m *Machine) Result {
	at, found := slices.BinarySearch(m.catalog.leaving, o.Node)
	if !validNode(o.Node) || o.Step > Gone || o.Step == Leaves && !found && len(m.catalog.leaving) >= MaxGroupNodes {
		return refused(&Refusal{Code: Invalid, Path: o.Node})
	}
	return m.change(func(c *catalog) {
		switch {
		case o.Step == Leaves && !found:
			c.leaving = slices.Insert(c.leaving, at, o.Node)
		case o.Step != Leaves && found:
			c.leaving = slices.Delete(c.leaving, at, at+1)
		}
		if o.Step == Gone {
			for i, r := range c.groups {
				c.groups[i] = r.with(o.Node, NoRole)
			}
		}
	})
}
