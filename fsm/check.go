package fsm

// Checker looks at encoded operations that come from elsewhere, before they are put into an entry: once there, no node
// could go on if they were not whole. The zero value is ready. It is for one goroutine at a time.
type Checker struct {
	Catalog bool // the entry is of group 0: operations on the catalogue are let in too
	machine Machine
}

// Check returns nil if data is exactly count operations that a client's commands, or changes of groups, may become. The error wraps ErrCorrupt;
// an operation of a newer release looks the same.
func (c *Checker) Check(data []byte, count int) error {
	limit := classCatalog
	if c.Catalog {
		limit = classLeader
	}
	err := c.machine.verify(data, count, limit)
	c.machine.scratch = scratch{} // or it would keep data alive
	return err
}
