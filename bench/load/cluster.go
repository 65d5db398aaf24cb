package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cluster is several servers on loopback that are one.
type Cluster struct {
	Name    string
	Servers []*Server
}

// StartDtkvCluster starts n nodes that form a cluster. The first one's data lies in dir/1, and so on. More are further flags.
func StartDtkvCluster(ctx context.Context, binary, dir string, n int, more ...string) (*Cluster, error) {
	clients, peers, err := freePorts(n)
	if err != nil {
		return nil, err
	}
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf("n%d=%s", i+1, loopback(peers[i]))
	}
	return startCluster("dtkv x"+strconv.Itoa(n), n, func(i int) (*Server, error) {
		args := []string{
			"--addr", loopback(clients[i]), "--peer-addr", loopback(peers[i]), "--http-addr", "",
			"--data-dir", filepath.Join(dir, strconv.Itoa(i+1)), "--node-id", fmt.Sprintf("n%d", i+1), "--peers", strings.Join(members, ","),
		}
		s := &Server{Name: fmt.Sprintf("dtkv-n%d", i+1), Addr: loopback(clients[i]), Dir: filepath.Join(dir, strconv.Itoa(i+1))}
		return start(ctx, s, binary, append(args, more...))
	})
}

// StartEtcdCluster starts n members of one etcd, from a binary that [BuildEtcd] made.
func StartEtcdCluster(ctx context.Context, binary, dir string, n int) (*Cluster, error) {
	clients, peers, err := freePorts(n)
	if err != nil {
		return nil, err
	}
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf("e%d=http://%s", i+1, loopback(peers[i]))
	}
	return startCluster("etcd x"+strconv.Itoa(n), n, func(i int) (*Server, error) {
		s := etcdMember(clients[i], filepath.Join(dir, strconv.Itoa(i+1)))
		return start(ctx, s, binary, etcdArgs(s, fmt.Sprintf("e%d", i+1), "http://"+loopback(peers[i]), strings.Join(members, ",")))
	})
}

// startCluster starts all at the same time, since none of them is ready alone.
func startCluster(name string, n int, one func(i int) (*Server, error)) (*Cluster, error) {
	c := &Cluster{Name: name, Servers: make([]*Server, n)}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { c.Servers[i], errs[i] = one(i) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// Stop ends all servers.
func (c *Cluster) Stop() {
	for _, s := range c.Servers {
		if s != nil {
			s.Stop()
		}
	}
}

// Leader is the server of a dtkv cluster that says that it leads.
func (c *Cluster) Leader(ctx context.Context) (*Server, error) {
	for {
		for _, s := range c.Servers {
			leads := false
			err := s.Talk(func(client *redis.Client) error {
				role, err := client.Do(ctx, "ROLE").Slice()
				leads = err == nil && len(role) > 0 && role[0] == "master"
				return err
			})
			if err == nil && leads {
				return s, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s has no leader: %w", c.Name, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Puts is what an etcd cluster did in one measurement. Latencies are in milliseconds.
type Puts struct {
	Requests int     `json:"requests"`
	PerSec   float64 `json:"per_second"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// PutEtcd writes to the leader of an etcd cluster for that long, with a generator of [BuildEtcd].
func PutEtcd(ctx context.Context, generator string, c *Cluster, d Data, clients, pipeline int, length time.Duration) (Puts, error) {
	var endpoints []string
	for _, s := range c.Servers {
		endpoints = append(endpoints, s.Addr)
	}
	cmd := exec.CommandContext(ctx, generator, "-endpoints", strings.Join(endpoints, ","), "-clients", strconv.Itoa(clients),
		"-pipeline", strconv.Itoa(pipeline), "-keys", strconv.Itoa(d.Keys), "-bytes", strconv.Itoa(d.Bytes), "-length", length.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return Puts{}, fmt.Errorf("the load on %s: %w", c.Name, err)
	}
	var p Puts
	return p, json.Unmarshal(out, &p)
}

// freePorts returns two lists of n ports.
func freePorts(n int) (clients, peers []int, err error) {
	for range n {
		a, aerr := freePort()
		b, berr := freePort()
		if err := errors.Join(aerr, berr); err != nil {
			return nil, nil, err
		}
		clients, peers = append(clients, a), append(peers, b)
	}
	return clients, peers, nil
}
