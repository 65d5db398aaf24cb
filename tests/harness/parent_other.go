//go:build !linux

package harness

import (
	"errors"
	"os/exec"
)

// dieWithParent is a promise that only Linux can keep.
func dieWithParent(*exec.Cmd) {}

// isolate does nothing: only Linux has what it needs, and ownMounts says so.
func isolate(*exec.Cmd) {}

func ownMounts() error { return errors.New("there are none on this system") }
