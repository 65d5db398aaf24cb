package watch

import "strings"

// trie finds the patterns whose literal prefix a name begins with, in time linear in the name and in what it finds. Its
// edges carry as many bytes as they can.
type trie struct{ root node }

type node struct {
	edge   string // from the node above to here
	topics []*topic
	below  []*node // no two edges begin with the same byte
}

// insert adds t under its prefix. It must not be there yet.
func (r *trie) insert(prefix string, t *topic) {
	n := &r.root
	for prefix != "" {
		i := n.child(prefix[0])
		if i < 0 {
			c := &node{edge: prefix}
			n.below = append(n.below, c)
			n = c
			break
		}
		c := n.below[i]
		if common := shared(c.edge, prefix); common < len(c.edge) {
			c.edge = c.edge[common:]
			c = &node{edge: prefix[:common], below: []*node{c}}
			n.below[i] = c
		}
		prefix = prefix[len(c.edge):]
		n = c
	}
	n.topics = append(n.topics, t)
}

// remove takes out t, which was inserted under that prefix.
func (r *trie) remove(prefix string, t *topic) { r.root.remove(prefix, t) }

func (n *node) remove(prefix string, t *topic) {
	if prefix == "" {
		for i, have := range n.topics {
			if have == t {
				last := len(n.topics) - 1
				n.topics[i], n.topics[last] = n.topics[last], nil
				n.topics = n.topics[:last]
				return
			}
		}
		return
	}
	i := n.child(prefix[0])
	if i < 0 || !strings.HasPrefix(prefix, n.below[i].edge) {
		return
	}
	c := n.below[i]
	c.remove(prefix[len(c.edge):], t)
	if len(c.topics) > 0 {
		return
	}
	switch len(c.below) {
	case 0:
		last := len(n.below) - 1
		n.below[i], n.below[last] = n.below[last], nil
		n.below = n.below[:last]
	case 1: // an edge that leads to nothing of its own
		only := c.below[0]
		only.edge = c.edge + only.edge
		n.below[i] = only
	}
}

func (r *trie) empty() bool { return len(r.root.topics) == 0 && len(r.root.below) == 0 }

// find appends to found the topics whose prefix name begins with.
func (r *trie) find(name []byte, found []*topic) []*topic {
	n := &r.root
	for {
		found = append(found, n.topics...)
		if len(name) == 0 {
			return found
		}
		i := n.child(name[0])
		if i < 0 || len(name) < len(n.below[i].edge) || string(name[:len(n.below[i].edge)]) != n.below[i].edge {
			return found
		}
		n = n.below[i]
		name = name[len(n.edge):]
	}
}

// child returns where the edge is that begins with b, -1 if there is none.
func (n *node) child(b byte) int {
	for i, c := range n.below {
		if c.edge[0] == b {
			return i
		}
	}
	return -1
}

// shared returns how many bytes a and b begin with in common.
func shared(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
