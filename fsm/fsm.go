// Package fsm is the replicated state: a pure fold over log entries.
package fsm

// Machine is the state and its only writer.
type Machine struct{}

// New returns an empty machine.
func New() *Machine { return &Machine{} }

func (m *Machine) Apply(e *Entry, see func(op, pos int, v View)) ([]Result, error) { return nil, nil }
func (m *Machine) Advance(index uint64)                                            {}
func (m *Machine) View() View                                                      { return View{} }
func (m *Machine) Freeze() View                                                    { return View{} }
