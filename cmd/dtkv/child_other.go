//go:build !linux

package main

import (
	"os/exec"
	"syscall"
)

// startChild starts a process that does not hear the terminal's signals, which are for us.
func startChild(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}
