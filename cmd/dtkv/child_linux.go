package main

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starter is where children are started from. They ask to die with their parent, and to the kernel the parent is the
// thread: so that thread must live as long as the process does.
var starter = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// startChild starts a process that does not hear the terminal's signals, which are for us, and that never outlives us.
func startChild(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	err := make(chan error)
	starter() <- func() { err <- cmd.Start() }
	return <-err
}
