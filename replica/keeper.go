package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

// keeperPoll is how often the keeper looks by itself: after something failed, or while it waits to be taken out of a group.
const keeperPoll = time.Second

// keeper opens the groups that this node is to hold, and closes and removes the others. It only ever looks at what is so and
// what should be, so it may be stopped anywhere and goes on from there:
//
//   - A group's directory is made and, by a founder, given its first configuration; then it is listed in dtkv.json; only then
//     does Raft run in it.
//   - A group that goes is first struck off that list, then closed, then its directory is renamed, and last it is taken off the
//     disk a piece at a time.
//
// So nothing was ever promised to anybody in a directory that is not listed, or nobody relies on it any more: the next start
// removes it. One that is listed and is not there has been lost, and the node does not start without it.
//
// Goroutines: run, and spread, from start to close.
type keeper struct {
	node    *Node
	told    chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	said    string // the error that was logged last
	current bool   // what this node knows of the catalogue is at least what it knew before it was started
}

func newKeeper(n *Node) *keeper {
	k := &keeper{node: n, told: make(chan struct{}, 1)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

func (k *keeper) start() {
	k.wg.Go(k.run)
	k.wg.Go(k.spread)
}

func (k *keeper) close() {
	k.cancel()
	k.wg.Wait()
}

// look makes the keeper look. It never blocks.
func (k *keeper) look() {
	select {
	case k.told <- struct{}{}:
	default:
	}
}

func (k *keeper) run() {
	tick := time.NewTicker(keeperPoll)
	defer tick.Stop()
	again := true
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-k.told:
		case <-tick.C:
			if !again {
				continue
			}
		}
		pending, err := k.reconcile()
		again = pending || err != nil
		if err != nil && k.ctx.Err() == nil && err.Error() != k.said {
			k.said = err.Error()
			k.node.cfg.Logger.Warn("the groups are not yet as they should be", "error", err)
		}
	}
}

// reconcile makes the groups here what the catalogue says. pending says that it is to be called again soon.
func (k *keeper) reconcile() (pending bool, err error) {
	n := k.node
	if !k.current {
		// After a start the log is applied anew, and the catalogue goes through states of long ago: groups that have been
		// removed seem to be there, and nodes that have left them seem to be their founders.
		if err := n.base.barrier(k.ctx); err != nil {
			return true, nil
		}
		k.current = true
	}
	now := n.catalogue()
	if _, member := now.nodes.find(n.meta.NodeID); !member {
		return true, nil // it will be, or it is about to end
	}
	var errs []error
	for _, g := range n.held() {
		r, _ := now.find(g.id)
		switch {
		case g.id == 0:
		case !now.current(g.place):
			errs = append(errs, n.drop(g))
		case now.isHolder(r, n.meta.NodeID):
		case k.left(g):
			errs = append(errs, n.drop(g))
		default:
			pending = true
		}
	}
	for _, r := range now.records {
		if _, open := n.Group(r.ID); open || !now.isHolder(r, n.meta.NodeID) {
			continue
		}
		p := place{id: r.ID, generation: r.Generation, founders: founders(r, n.meta.NodeID)}
		if err := n.take(p); err != nil {
			errs = append(errs, fmt.Errorf("open group %d: %w", p.id, err))
		}
	}
	for _, g := range n.held() {
		if g.id != 0 {
			g.stir()
		}
	}
	return pending, errors.Join(errs...)
}

// left reports whether this node is no member of a group any more, as far as anybody knows.
func (k *keeper) left(g *Group) bool {
	self := k.node.meta.NodeID
	newest := g.latest()
	if _, member := newest.find(self); !member {
		return true // or it never was
	}
	// Who is taken out is not always told.
	ctx, cancel := context.WithTimeout(k.ctx, surveyTime)
	defer cancel()
	others := slices.DeleteFunc(slices.Clone(newest.servers), func(s raft.Server) bool { return string(s.ID) == self })
	_, said := survey(others, func(s raft.Server) (introduction, error) { return g.meet(ctx, s) })
	return slices.ContainsFunc(said, func(i introduction) bool { return !i.Member && i.Configured > newest.index })
}

// take makes the directory of a group anew and opens it.
func (n *Node) take(p place) error {
	if held, err := n.heldGroups(); err != nil {
		return err
	} else if !slices.ContainsFunc(held, func(h place) bool { return h.name() == p.name() }) {
		if err := n.discard(p.name()); err != nil {
			return err
		}
	}
	n.cfg.Logger.Info("opening a group", "group", p.id, "generation", p.generation)
	return n.open(p)
}

// drop closes a group and removes its data.
func (n *Node) drop(g *Group) error {
	n.cfg.Logger.Info("removing a group", "group", g.id, "generation", g.generation)
	n.mu.Lock()
	delete(n.groups, g.id)
	n.mu.Unlock()
	recorded := n.recordGroup(g.place, false)
	closed := g.close()
	n.onGroups(-1, g.id)
	if err := errors.Join(recorded, closed); err != nil {
		return fmt.Errorf("remove group %d: %w", g.id, err) // what is left is removed by the next start
	}
	return n.discard(g.name())
}

// discard takes a group's directory off the disk, if there is one. It does not wait for the end of that.
func (n *Node) discard(name string) error {
	path := filepath.Join(n.cfg.DataDir, groupDir, name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	// A name that a later one does not collide with.
	gone := path + "." + randomID() + goneSuffix
	if err := os.Rename(path, gone); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(path)), n.discards.add(gone))
}

// heldGroups returns the groups that this node held when it last changed that.
func (n *Node) heldGroups() (list []place, err error) {
	n.metaMu.Lock()
	defer n.metaMu.Unlock()
	return n.meta.held(n.cfg.DataDir)
}

// held returns the groups beside group 0 that are listed.
func (m metadata) held(dir string) (list []place, err error) {
	for _, name := range m.Groups {
		var p place
		if _, err := fmt.Sscanf(name, "%d-%d", &p.id, &p.generation); err != nil || p.name() != name || p.id < 1 || p.id > fsm.MaxGroup {
			return nil, fmt.Errorf("%s is damaged: %q is no directory of a group", filepath.Join(dir, metaFile), name)
		}
		list = append(list, p)
	}
	return list, nil
}

// sweep looks after the directories of groups before they are opened: those that are not listed go, and those that are must
// be there.
func (n *Node) sweep(held []place) error {
	dir := filepath.Join(n.cfg.DataDir, groupDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	there := map[string]bool{"0": true}
	for _, e := range entries {
		there[e.Name()] = true
	}
	for _, p := range held {
		if !there[p.name()] {
			return fmt.Errorf("%s is missing, and this node's part of group %d with it: put it back, or take the node out of the "+
				"cluster and let it join anew", filepath.Join(dir, p.name()), p.id)
		}
		delete(there, p.name())
	}
	delete(there, "0")
	for name := range there {
		err := error(nil)
		if strings.HasSuffix(name, goneSuffix) {
			err = n.discards.add(filepath.Join(dir, name))
		} else {
			err = n.discard(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
