package cluster

import (
	"flag"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

var away = flag.Duration("away", 2*time.Second, "how long TestANodeThatWasAway keeps a node away")

// A node that was away is as good as any other as soon as it is back: it serves its own clients, and bears the loss of another
// node. How soon is reported, not enforced.
func TestANodeThatWasAwayIsOfUseAtOnce(t *testing.T) {
	c := harness.StartCluster(t, 3, harness.Options{})
	leader := c.Leader()
	var followers []*harness.Server
	for _, s := range c.Servers {
		if s != leader {
			followers = append(followers, s)
		}
	}
	want(t, leader, "+OK\r\n", "SET", "k", "before")
	back, lost := followers[0], followers[1]
	back.Kill()
	for gone := time.Now(); time.Since(gone) < *away; time.Sleep(10 * time.Millisecond) {
		want(t, leader, "+OK\r\n", "SET", "k", "meanwhile")
	}
	began := time.Now()
	back = c.Relaunch(back)
	served := func(s *harness.Server, value string) time.Duration {
		since := time.Now()
		harness.Eventually(t, "a write to be acknowledged", func() bool {
			conn, err := harness.Connect(s.Addr)
			if err != nil {
				return false
			}
			defer conn.Close()
			reply, err := conn.Do("SET", "k", value)
			return err == nil && reply == "+OK\r\n"
		})
		return time.Since(since).Round(time.Millisecond)
	}
	through := served(back, "through the one that is back")
	lost.Kill()
	without := served(leader, "without the other one")
	t.Logf("away for %v: started again, it took a write after %v; after the loss of another node, %v later, one was taken after %v",
		*away, through, time.Since(began).Round(time.Millisecond), without)
	want(t, back, "$21\r\nwithout the other one\r\n", "GET", "k")
}
