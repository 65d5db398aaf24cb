package load

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel kill the child when the measuring program is killed and can clean up nothing.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
