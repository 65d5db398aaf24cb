package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// checkKeys refuses a command that names a key no node can have. Reads are refused too: a null for "a..b" would hide a
// mistake that the first write would have shown.
func (c *Command) checkKeys(argv [][]byte) error {
	if c.First == 0 || c.Flags.Has(EachKey) {
		return nil
	}
	for i, last := c.First, c.lastKey(argv); i <= last; i += c.Step {
		if len(argv[i]) == 0 && c.Flags.Has(RootKey) {
			continue
		}
		if err := fsm.CheckKey(argv[i]); err != nil {
			return RefusalError(err)
		}
	}
	return nil
}

// checkValue refuses a value that no key may hold.
func checkValue(value []byte, s Settings) error {
	return checkLength(int64(len(value)), s)
}

func checkLength(n int64, s Settings) error {
	if n > int64(s.MaxValue) {
		return resp.Errorf("ERR", "string exceeds maximum allowed size (%d > %d bytes, max-value-size)", n, s.MaxValue)
	}
	return nil
}
