package linear

import (
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/dtkv/dtkv/tests/harness"
)

var faultsFor = flag.Duration("faults-for", 10*time.Second, "how long each cluster suffers while its histories are recorded")

// Clients of all nodes see one history, of values and of locks, whatever happens to the nodes meanwhile.
func TestHistoriesThroughFaults(t *testing.T) {
	harness.Alone(t, "it has a cluster of its own")
	for _, nodes := range []int{3, 5} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			r := newRig(t)
			r.cluster = harness.StartCluster(t, nodes, options)
			r.suffer(t, newNemesis(t, r))
		})
	}
}

// Clients of all nodes see one history, however the network among these is cut.
func TestHistoriesThroughPartitions(t *testing.T) {
	harness.Alone(t, "it has a cluster of its own")
	if !harness.Isolated(t) {
		return
	}
	r := newRig(t)
	o := options
	o.Network, o.Password = harness.NewNetwork(t), "of the partitioned"
	r.cluster = harness.StartCluster(t, 3, o)
	n := newNemesis(t, r)
	n.kinds = append(n.partitions(), n.kinds...)
	r.suffer(t, n)
}

// suffer records histories on new keys, again and again, while the nemesis does what it does, and checks them.
func (r *rig) suffer(t *testing.T, n *nemesis) {
	t.Helper()
	var grants []grant
	var slowest, checking time.Duration
	round, operations := 0, 0
	for ; round == 0 || time.Since(r.began) < *faultsFor; round++ {
		var done sync.WaitGroup
		var sent atomic.Int64
		values, contests := r.useValues(round, &done, &sent), r.useLocks(t, round, &done, &sent)
		ended := make(chan struct{})
		go func() {
			done.Wait()
			close(ended)
		}()
		n.rage(ended)
		r.report(t)
		ofValues, ofLocks := map[string][]porcupine.Operation{}, map[string][]porcupine.Operation{}
		for _, k := range values {
			ofValues[k.key] = k.history()
			operations += len(k.ops)
		}
		for _, c := range contests {
			ofLocks[c.key] = c.history()
			operations += len(c.ops)
			grants = append(grants, c.grants()...)
		}
		began := time.Now()
		slowest = max(slowest, check(t, valueModel(), ofValues), check(t, lockModel(), ofLocks))
		checking += time.Since(began)
	}
	r.report(t)
	tokensGrow(t, grants)
	t.Logf("%d operations on %d keys and %d locks, %d grants, %d in doubt, %d refused, in %s; faults: %v",
		operations, round*keys, round*locks, len(grants), r.doubts.Load(), r.refused.Load(), time.Since(r.began).Round(time.Second), n.told())
	t.Logf("checked in %s, the slowest history in %s", checking.Round(time.Millisecond), slowest.Round(time.Millisecond))
}

// Two servers that do not know each other pass for a cluster. The check must reject what their clients see.
func TestTwoHistoriesAreNotOne(t *testing.T) {
	harness.Alone(t, "it is about two nodes that know nothing of each other")
	r := newRig(t)
	r.cluster = &harness.Cluster{Servers: []*harness.Server{harness.Start(t, options), harness.Start(t, options)}}
	var done sync.WaitGroup
	var sent atomic.Int64
	values, contests := r.useValues(0, &done, &sent), r.useLocks(t, 0, &done, &sent)
	done.Wait()
	r.report(t)
	for _, k := range values {
		if porcupine.CheckOperationsTimeout(valueModel(), k.history(), harness.Patience) != porcupine.Illegal {
			t.Errorf("%s: %d operations on two servers pass for those on one", k.key, len(k.ops))
		}
	}
	for _, c := range contests {
		if porcupine.CheckOperationsTimeout(lockModel(), c.history(), harness.Patience) != porcupine.Illegal {
			t.Errorf("%s: %d operations on two servers pass for those on one", c.key, len(c.ops))
		}
	}
}
