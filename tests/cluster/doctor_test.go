package cluster

import (
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dtkv/dtkv/tests/harness"
)

// calm are limits that a busy machine does not pass.
var calm = []string{"--max-fsync", "1h", "--min-disk", "0", "--min-files", "1", "--max-clock", "1m", "--max-lag", "1000000"}

// doctor asks through a node what is wrong with the cluster. Flags that come later win.
func doctor(t *testing.T, s *harness.Server, more ...string) (text string, well bool) {
	t.Helper()
	text, err := harness.TryOutput("", "", harness.Binary(t), slices.Concat([]string{"doctor", "--addr", s.Addr}, calm, more)...)
	return text, err == nil
}

// ill waits until the doctor finds that.
func ill(t *testing.T, s *harness.Server, what string, more ...string) string {
	t.Helper()
	var text string
	harness.Eventually(t, "the doctor to find: "+what, func() bool {
		var well bool
		text, well = doctor(t, s, more...)
		return !well && regexp.MustCompile(what).MatchString(text)
	})
	return text
}

// restarted starts a node of the cluster again, on its data, with other flags.
func restarted(t *testing.T, c *harness.Cluster, s *harness.Server, more ...string) *harness.Server {
	t.Helper()
	s.Stop(t)
	o := s.Options
	o.More = append(slices.Clone(o.More), more...)
	again := harness.Launch(t, o)
	c.Servers[slices.Index(c.Servers, s)] = again
	c.Leader()
	return again
}

// The doctor finds nothing in a cluster that is well, and what was done to one that is not.
func TestTheDoctorOfARealCluster(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	leader := c.Leader()
	want(t, leader, "+OK\r\n", "SET", "k", "v")
	c.Eventually("a doctor who finds nothing", func() bool {
		text, well := doctor(t, leader)
		return well && strings.Contains(text, "nothing is wrong")
	})
	ill(t, leader, "the disk of n1 is slow", "--max-fsync", "1us")
	ill(t, leader, "the disk of n2 is nearly full", "--min-disk", "101")

	patient := c.Follower()
	id := c.Node(patient)
	old := unix.Rlimit{Cur: 1024, Max: 4096}
	if err := unix.Prlimit(patient.PID(), unix.RLIMIT_NOFILE, &old, nil); err != nil {
		t.Fatal(err)
	}
	ill(t, leader, id+" may open only 1024 files", "--min-files", "4096")

	nowhere := harness.Loopback(harness.Port(t))
	patient = restarted(t, c, patient, "--advertise-addr", nowhere)
	ill(t, c.Leader(), id+" runs, but not at "+nowhere)
	ill(t, patient, id+" says that clients reach it at "+nowhere+", and there nobody answers")

	liar := between(t, patient.Addr, func(reply []byte) []byte {
		return oneTime.ReplaceAllFunc(reply, func(b []byte) []byte { // TIME
			seconds, _ := strconv.Atoi(string(b[len("*2\r\n$10\r\n"):]))
			return []byte("*2\r\n$10\r\n" + strconv.Itoa(seconds+300))
		})
	})
	patient = restarted(t, c, patient, "--advertise-addr", liar)
	ill(t, c.Leader(), "the clocks of n. and n. are (5m0s|4m59\\.\\d+s) apart; "+id+" is ahead")

	patient.Stop(t)
	mixed(t, c, patient, id)

	c.Leader()
	for _, s := range c.Running() {
		ill(t, s, id+" does not answer, neither other nodes at "+patient.PeerAddr)
		ill(t, s, "bears no further loss: 2 of its 3 voters answer")
	}
	c.Follower().Kill()
	ill(t, c.Running()[0], "group 0 has no leader: nothing can be written; .* do not answer")
}

var oneTime = regexp.MustCompile(`^\*2\r\n\$10\r\n\d{10}`)

// between passes what a client says on to a server, and changes what that answers. It returns where clients reach it.
func between(t *testing.T, server string, change func([]byte) []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer near.Close()
				far, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer far.Close()
				go func() {
					_, _ = io.Copy(far, near)
					far.Close()
				}()
				buf := make([]byte, 64<<10)
				for {
					n, err := far.Read(buf)
					if err != nil {
						return
					}
					if _, err := near.Write(change(buf[:n])); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// mixed runs one node with another release for a while: the doctor tells in which order to go on.
func mixed(t *testing.T, c *harness.Cluster, s *harness.Server, id string) {
	t.Helper()
	older := release(t, "0.0.9")
	p := harness.Run(t, "", nil, older, "--addr", s.Addr, "--peer-addr", s.PeerAddr, "--http-addr", "", "--data-dir", s.DataDir)
	text := ill(t, c.Leader(), "nodes run different releases")
	if !strings.Contains(text, "in this order, each when dtkv status says ok again: "+id+" (voter, 0.0.9)") {
		t.Errorf("the order of the upgrade is not there:\n%s", text)
	}
	p.Stop(t)
}

// A learner that is not sent the log lags, and a cluster of two says that it is no safer than one.
func TestTheDoctorSeesWhoLagsAndHowManyVote(t *testing.T) {
	c := harness.StartCluster(t, 2, harness.Options{})
	ill(t, c.Leader(), "group 0 has 2 voters: it bears the loss of 0, no more than with 1")

	address := harness.Loopback(harness.Port(t))
	gate := newGate(t, address)
	learner := c.Join("--learner", "yes", "--advertise", gate.Addr().String())
	gate.open(learner.PeerAddr)
	c.Eventually("the learner to have it all", func() bool {
		nodes, err := c.Leader().Nodes()
		return err == nil && nodes["n3"]["state"] == "up" && nodes["n3"]["last-index"] == nodes["n1"]["last-index"]
	})
	gate.shut()
	conn := harness.Dial(t, c.Leader().Addr)
	for i := range 100 {
		conn.Must(t, "SET", "k", strconv.Itoa(i))
	}
	ill(t, c.Leader(), `n3 \(learner\) lacks \d+ entries of group 0`, "--max-lag", "50")
}

// status shows what the doctor looks at: a table, or lines when nobody looks.
func TestStatusShowsTheCluster(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	leader, follower := c.Leader(), c.Follower()
	want(t, leader, "+OK\r\n", "SET", "k", "v")
	want(t, leader, "+OK\r\n", "DTKV.GROUP", "ADD", "7", "n1", "n2", "n3")
	binary := harness.Binary(t)
	row := regexp.MustCompile(`(?m)^` + c.Node(leader) + ` +up +leader +` + regexp.QuoteMeta(leader.Addr) + ` +` + regexp.QuoteMeta(leader.PeerAddr) + ` `)
	c.Eventually("a table of three nodes", func() bool {
		text := harness.Output(t, "", "", binary, "status", "--addr", follower.Addr)
		return row.MatchString(text) && regexp.MustCompile(`(?m)^0 +ok +`+c.Node(leader)+` +n1 n2 n3 +- +1\b`).MatchString(text) &&
			regexp.MustCompile(`(?m)^7 +ok +n. +n1 n2 n3 +- +0\b`).MatchString(text)
	})
	p := harness.Run(t, "", nil, binary, "status", "--addr", follower.Addr, "--watch", "--interval", "100ms")
	line := "node=" + c.Node(leader) + " state=up role=leader"
	harness.Eventually(t, "lines, again and again", func() bool { return strings.Count(p.Log(), line) > 2 })
	leader.Kill()
	harness.Eventually(t, "a line about the node that is lost", func() bool {
		return strings.Contains(p.Log(), "node="+c.Node(leader)+" state=down")
	})
	if code := p.Stop(t); code != 0 || strings.Contains(p.Log(), "\x1b") {
		t.Errorf("exit code %d:\n%s", code, p.Log())
	}
	if out, err := harness.TryOutput("", "", binary, "status", "--addr", leader.Addr); err == nil || strings.Count(out, "\n") != 1 {
		t.Errorf("at a node that is dead: %v, %q", err, out)
	}
}
