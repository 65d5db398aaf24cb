package fsm

import (
	"fmt"
	"slices"
)

// MaxLeap bounds where Leap may lead: tokens and indexes below it are exact in clients whose numbers are float64.
const MaxLeap = 1 << 53

// Leap moves the index and the count of fencing tokens forward by the same number, as when a state begins a life of its own:
// whatever index or token the history that it was taken from goes on to give, those of this one are greater. Nothing else
// changes. The error says that by is so large that numbers would run out; then nothing has changed at all.
func (m *Machine) Leap(by uint64) error {
	if by > MaxLeap || m.index > MaxLeap-by || m.tokens > MaxLeap-by {
		return fmt.Errorf("fsm: index %d and token %d cannot leap by %d", m.index, m.tokens, by)
	}
	m.index += by
	m.tokens += by
	return nil
}

// Resettle makes the groups that keep returns true for live everywhere, first formed by founders, and forgets the other ones
// and the nodes that were to leave: as when the state of group 0 goes over to other nodes. It changes no digest if there are no
// groups.
func (m *Machine) Resettle(keep func(GroupRecord) bool, founders []Founder) error {
	var c catalog
	for _, r := range m.catalog.groups {
		if !keep(r) {
			continue
		}
		r.Everywhere, r.Founders, r.Nodes = true, slices.Clone(founders), nil
		if !r.valid() {
			return fmt.Errorf("fsm: group %d cannot have these founders: %v", r.ID, founders)
		}
		c.groups = append(c.groups, r)
	}
	c.index = m.index
	m.catalog = &c
	return nil
}
