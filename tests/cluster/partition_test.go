package cluster

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// A network is cut in different ways, between processes in network namespaces. Those who have a majority go on. Who has none
// refuses: it serves nothing old, and lets nobody wait for longer than an election may take. When the network is whole
// again, so is the cluster, and nobody has to do anything.
func TestPartitions(t *testing.T) {
	if !harness.Isolated(t) {
		return
	}
	c := harness.StartCluster(t, 3, harness.Options{Network: harness.NewNetwork(t), Password: "of the partitioned"})
	tests := []struct {
		name string
		// alone makes the faults and returns the node that is without a majority then.
		alone func(n *harness.Network, leader, a, b *harness.Server) *harness.Server
	}{
		{"the leader is cut off", func(n *harness.Network, leader, a, b *harness.Server) *harness.Server {
			n.Cut(leader, a)
			n.Cut(leader, b)
			return leader
		}},
		{"a follower is cut off", func(n *harness.Network, leader, a, b *harness.Server) *harness.Server {
			n.Cut(a, leader)
			n.Cut(a, b)
			return a
		}},
		{"the leader sends and hears nothing", func(n *harness.Network, leader, a, b *harness.Server) *harness.Server {
			n.Drop(a, leader)
			n.Drop(b, leader)
			return leader
		}},
		{"the leader hears and is not heard", func(n *harness.Network, leader, a, b *harness.Server) *harness.Server {
			n.Drop(leader, a)
			n.Drop(leader, b)
			return leader
		}},
		{"a follower sends and hears nothing", func(n *harness.Network, leader, a, b *harness.Server) *harness.Server {
			n.Drop(leader, a)
			n.Drop(b, a)
			return a
		}},
		{"a follower hears and is not heard", func(n *harness.Network, leader, a, b *harness.Server) *harness.Server {
			n.Drop(a, leader)
			n.Drop(a, b)
			return a
		}},
		{"leader and follower are cut, and a bridge sees both", func(n *harness.Network, leader, a, b *harness.Server) *harness.Server {
			n.Cut(leader, a)
			return nil // the bridge may lead, and then all are served
		}},
	}
	for i, tt := range tests {
		leader := c.Leader()
		var followers []*harness.Server
		for _, s := range c.Servers {
			if s != leader {
				followers = append(followers, s)
			}
		}
		p := &partition{cluster: c, key: "key-" + digits(i)}
		want(t, leader, "+OK\r\n", "SET", p.key, "old")
		for _, s := range c.Servers {
			want(t, s, "$3\r\nold\r\n", "GET", p.key)
		}
		alone := tt.alone(c.Network, leader, followers[0], followers[1])
		t.Run(tt.name, func(t *testing.T) { p.suffer(t, alone) })
		c.Network.Heal()
		p.heals(t, alone)
	}
}

// partition is a cut that is on.
type partition struct {
	cluster *harness.Cluster
	key     string
	written atomic.Bool // the new value has been acknowledged
}

// suffer writes where there is a majority, and meanwhile looks what the other node serves.
func (p *partition) suffer(t *testing.T, alone *harness.Server) {
	began := time.Now()
	var others sync.WaitGroup
	var read, write time.Duration // the longest waits where there is none
	if alone != nil {
		others.Go(func() { read = p.refuses(t, alone, []string{"-CLUSTERDOWN"}, "GET", p.key) })
		others.Go(func() { write = p.refuses(t, alone, []string{"-CLUSTERDOWN", "-INDOUBT"}, "SET", p.key+"-alone", "v") })
	}
	p.cluster.Eventually("a write where there is a majority", func() bool {
		for _, s := range p.cluster.Servers {
			if s == alone {
				continue
			}
			c, err := harness.Connect(s.Addr)
			if err != nil {
				continue
			}
			reply, err := c.Do("SET", p.key, "new")
			_ = c.Close()
			if err == nil && reply == "+OK\r\n" {
				return true
			}
		}
		return false
	})
	took := time.Since(began)
	p.written.Store(true)
	others.Wait()
	if alone == nil {
		p.bridged(t)
	}
	t.Logf("written after %v; the longest waits for a refusal: %v of reads, %v of writes", took, read, write)
}

// refuses sends a command to a node without a majority, again and again, until it was refused after the new value was
// written elsewhere. It returns the longest wait.
func (p *partition) refuses(t *testing.T, alone *harness.Server, words []string, args ...string) (longest time.Duration) {
	c, err := harness.Connect(alone.Addr)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer c.Close()
	for refused := false; !refused; {
		written, began := p.written.Load(), time.Now()
		reply, err := c.Do(args...)
		longest = max(longest, time.Since(began))
		if err != nil {
			t.Errorf("%q: %v", args, err)
			return longest
		}
		if !written {
			continue // it may still have been the leader, or have had one
		}
		word, _, _ := strings.Cut(reply, " ")
		if !slices.Contains(words, word) {
			t.Errorf("%q, with a majority elsewhere that has written, is answered %q", args, reply)
			return longest
		}
		refused = true
	}
	return longest
}

// bridged looks at nodes of which one sees both others: each serves what is new, or refuses.
func (p *partition) bridged(t *testing.T) {
	served := 0
	for _, s := range p.cluster.Servers {
		switch reply := harness.Dial(t, s.Addr).Must(t, "GET", p.key); {
		case reply == "$3\r\nnew\r\n":
			served++
		case !strings.HasPrefix(reply, "-CLUSTERDOWN "):
			t.Errorf("a read is answered %q", reply)
		}
	}
	if served < 2 {
		t.Errorf("%d nodes serve reads", served)
	}
}

// heals waits until every node serves again.
func (p *partition) heals(t *testing.T, alone *harness.Server) {
	t.Helper()
	began := time.Now()
	for _, s := range p.cluster.Servers {
		p.cluster.Eventually(p.cluster.Node(s)+" to serve again", func() bool {
			return harness.Dial(t, s.Addr).Must(t, "SET", p.key+"-after", "v") == "+OK\r\n"
		})
		want(t, s, "$3\r\nnew\r\n", "GET", p.key)
	}
	t.Logf("all nodes served %v after the network was whole again", time.Since(began))
}
