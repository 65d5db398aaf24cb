package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// container is a run of an image: where the system lets us, with a file system, a user and process numbers of its own.
type container struct {
	*harness.Process
	t     *testing.T
	image *image
	env   []string // all that it sees
	apart bool
}

// mayIsolate reports whether this process may make namespaces and change its root.
func mayIsolate() bool {
	return os.Getuid() == 0 && exec.Command("unshare", "--fork", "--pid", "true").Run() == nil
}

// start runs the image's entrypoint, with its environment and what is added to it.
func start(t *testing.T, i *image, more map[string]string) *container {
	t.Helper()
	c := &container{t: t, image: i, apart: mayIsolate()}
	for _, env := range []map[string]string{i.env, more} {
		for name, value := range env {
			c.env = append(c.env, name+"="+value)
		}
	}
	args := c.command(i.entrypoint)
	if c.apart {
		// The child of unshare is process 1. When unshare dies, so does it.
		args = append([]string{args[0], "unshare", "--fork", "--pid", "--kill-child"}, args[1:]...)
		args = reorder(args)
	} else {
		t.Log("without namespaces: as an ordinary process")
		c.env = append(c.env, "DTKV_DATA_DIR="+i.root+i.env["DTKV_DATA_DIR"])
		args = c.command(i.entrypoint)
	}
	c.Process = harness.Run(t, "", nil, args[0], args[1:]...)
	return c
}

// reorder puts unshare in front of env, which clears the variables that unshare is found by.
func reorder(args []string) []string {
	const words = 4 // unshare and its flags
	return append(append([]string{}, args[1:1+words]...), append([]string{args[0]}, args[1+words:]...)...)
}

// command is how a program is run with the container's variables and nothing of ours, in its file system if possible.
func (c *container) command(argv []string) []string {
	args := append([]string{"/usr/bin/env", "-i"}, c.env...)
	if c.apart {
		return append(append(args, "/usr/sbin/chroot", "--userspec="+c.image.user, c.image.root), argv...)
	}
	return append(append(args, c.image.root+argv[0]), argv[1:]...)
}

// exec runs another program in the container, to its end.
func (c *container) exec(argv ...string) (string, error) {
	args := c.command(argv)
	return harness.TryOutput("", "", args[0], args[1:]...)
}

// node is the process id of the node itself, as this machine counts.
func (c *container) node() int {
	c.t.Helper()
	if !c.apart {
		return c.PID()
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.PID(), c.PID()))
	if err != nil {
		c.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		c.t.Fatalf("the children of unshare are %q", text)
	}
	return pid
}

// stop tells the node to end, as docker stop does.
func (c *container) stop() {
	c.t.Helper()
	if err := syscall.Kill(c.node(), syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
}

// checkInside looks at who the node is in there.
func (c *container) checkInside() {
	c.t.Helper()
	if !c.apart {
		return
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.node()))
	if err != nil {
		c.t.Fatal(err)
	}
	uid, _, _ := strings.Cut(c.image.user, ":")
	for line := range strings.Lines(string(status)) {
		words := strings.Fields(line)
		switch words[0] {
		case "Uid:":
			if words[1] != uid {
				c.t.Errorf("it runs as user %s", words[1])
			}
		case "NSpid:":
			if last := words[len(words)-1]; last != "1" {
				c.t.Errorf("it is process %s of its container", last)
			}
		}
	}
}
