package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dtkv/dtkv/replica"
)

// twin is one of several servers of a test that are a cluster of fake groups.
type twin struct {
	*Server
	id     string
	peers  map[string]*twin
	mu     sync.Mutex
	infos  []replica.GroupInfo
	held   map[int]*fakeGroup
	asked  map[int]int // how often for each group that may be open
	calls  []string
	err    error      // of AddGroup and RemoveGroup
	survey error      // of SurveyGroup
	cut    error      // of Dial to here
	dialed []net.Conn // both ends of the streams to here
}

func (w *twin) ID() string { return w.id }

func (w *twin) Groups() []replica.GroupInfo {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.infos)
}

func (w *twin) AddGroup(_ context.Context, id int, nodes []string) error {
	return w.called(strings.TrimSpace(fmt.Sprintf("add %d %s", id, strings.Join(nodes, " "))))
}

func (w *twin) RemoveGroup(_ context.Context, id int) error {
	return w.called(fmt.Sprintf("remove %d", id))
}

func (w *twin) called(what string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, what)
	return w.err
}

// fail sets what the calls about groups answer.
func (w *twin) fail(change, survey error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err, w.survey = change, survey
}

func (w *twin) SurveyGroup(_ context.Context, id int) (replica.GroupSighting, error) {
	w.mu.Lock()
	err := w.survey
	w.mu.Unlock()
	if err != nil {
		return replica.GroupSighting{}, err
	}
	info, _ := w.known(id)
	var seen replica.GroupSighting
	for i, m := range info.Holders {
		if i == 0 {
			seen.Leader = m.ID
		}
		seen.Members = append(seen.Members, replica.Sighting{Member: m, Up: true})
	}
	return seen, nil
}

// Dial opens a stream over TCP to another twin.
func (w *twin) Dial(_ context.Context, node, use string, group int) (net.Conn, error) {
	to := w.peers[node]
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.cut != nil {
		return nil, to.cut
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	here, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	there, err := l.Accept()
	if err != nil {
		return nil, err
	}
	if use != useClient {
		return nil, errors.New("what for?")
	}
	to.dialed = append(to.dialed, here, there)
	go to.takeIn(there, w.id, group)
	return here, nil
}

// lose breaks all streams to this twin, as its death would, and refuses others.
func (w *twin) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = errors.New("connection refused")
	for _, c := range w.dialed {
		c.Close()
	}
}

// startTwins starts servers n1, n2 and so on, which all hold group 0. where says who holds which other group.
func startTwins(t *testing.T, n int, where map[int][]string) []*twin {
	t.Helper()
	peers := map[string]*twin{}
	var list []*twin
	for i := range n {
		cfg := Default()
		cfg.Addr, cfg.HTTPAddr, cfg.Logger = "127.0.0.1:0", "", quiet
		w := &twin{Server: newServer(cfg), id: fmt.Sprintf("n%d", i+1), peers: peers, held: map[int]*fakeGroup{}, asked: map[int]int{}}
		peers[w.id] = w
		list = append(list, w)
	}
	for _, w := range list {
		w.add(0, "n1", "n2", "n3")
		for _, db := range sortedKeys(where) {
			w.add(db, where[db]...)
		}
		w.useCatalogue(w)
		w.useGroups(w.open)
		if err := w.listen(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.stopClients)
	}
	return list
}

func sortedKeys(m map[int][]string) (keys []int) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// open is the group that is open here.
func (w *twin) open(db int) group {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[db]++
	if g := w.held[db]; g != nil {
		return g
	}
	return nil
}

// add adds a group to what this twin knows, and opens it if it is to hold it.
func (w *twin) add(db int, nodes ...string) {
	info := replica.GroupInfo{ID: db, Generation: uint64(db), Everywhere: db == 0}
	for _, id := range nodes {
		info.Holders = append(info.Holders, replica.Member{ID: id, Voter: true})
		if id == w.id {
			info.Held, info.Open = true, true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.infos = append(w.infos, info)
	if info.Held {
		w.held[db] = newFakeGroup()
		w.held[db].id = db
		w.held[db].observer = w.hub
	}
}

// remove takes a group away, as a node does: first it is not known any more, then it is closed, then the server is told.
func (w *twin) remove(db int) {
	w.mu.Lock()
	w.infos = slices.DeleteFunc(w.infos, func(i replica.GroupInfo) bool { return i.ID == db })
	g := w.held[db]
	delete(w.held, db)
	w.mu.Unlock()
	if g != nil {
		g.setFail(replica.ErrClosed)
		w.onGroups(-1, db)
	}
}
