package fsm

// Checker looks at encoded operations that come from elsewhere, before they are put into an entry: once there, no node
// could go on if they were not whole. The zero value is ready. It is for one goroutine at a time.
type Checker struct{ machine Machine }

// Check returns nil if data is exactly count operations that a client's commands may become. The error wraps ErrCorrupt;
// an operation of a newer release looks the same.
func (c *Checker) Check(data []byte, count int) error {
	err := c.machine.verify(data, count, classLeader)
	c.machine.scratch = scratch{} // or it would keep data alive
	return err
}
