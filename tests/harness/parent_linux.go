package harness

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel kill the child when the test process is killed and can clean up nothing.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
