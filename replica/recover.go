package replica

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

// Recovery says what data directory Recover makes the beginning of a new cluster.
type Recovery struct {
	DataDir string
	CopyTo  string       // where the directory is copied to first; default: a free name beside it
	Logger  *slog.Logger // default slog.Default()
}

// Survivor is what one node has left of its cluster.
type Survivor struct {
	Node, Cluster string
	Groups        []SurvivingGroup
	Lost          []int  // groups that it has nothing of
	Copy          string // where the directory was copied to; empty: nowhere
}

// SurvivingGroup is what a node has of a group.
type SurvivingGroup struct {
	Group      int
	Last, Term uint64   // index and term of its last log entry
	Values     int      // number of values once all entries are applied
	Members    []Member // as the node knows them
	Begins     uint64   // the index that the new log begins behind; 0 of a survey

	place   place
	machine *fsm.Machine // of group 0 only
}

const (
	unfinishedRecover = "recover"
	newGroupDir       = "groups.new"
)

// errNothing is for a directory that a node has never served from.
var errNothing = errors.New("this node has no data: nothing can be recovered from it")

// Survey reads what a node that does not run has, as its start would, and changes no more than that.
func (r Recovery) Survey() (Survivor, error) {
	lock, meta, err := r.open()
	if err != nil {
		return Survivor{}, err
	}
	if meta.Unfinished == unfinishedRecover {
		return Survivor{}, errors.Join(fmt.Errorf("data directory %s: an earlier run did not finish; let one finish", r.DataDir), lock.Close())
	}
	s, err := r.survey(meta)
	return s, errors.Join(err, lock.Close())
}

// Recover makes the node the only voter of all its groups, in a new cluster: after the loss of a majority, when nothing
// else is left. Every entry of its log is kept, also those that the old leader may not have committed; what the lost nodes
// alone had is lost. The directory is copied first. When the process dies meanwhile, Open refuses the directory
// until Recover has run again.
func (r Recovery) Recover() (s Survivor, err error) {
	lock, meta, err := r.open()
	if err != nil {
		return Survivor{}, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if meta.Unfinished == unfinishedRecover { // the copy is made, and the new groups are complete
		return Survivor{Node: meta.NodeID, Cluster: meta.ClusterID}, r.exchange(meta)
	}
	if s.Copy, err = r.copy(); err != nil {
		return s, fmt.Errorf("copy %s: %w", r.DataDir, err)
	}
	found, err := r.survey(meta)
	if err == nil {
		err = r.prepare(&meta, &found)
	}
	if err != nil { // nothing was changed
		return Survivor{}, errors.Join(err, os.RemoveAll(s.Copy), os.RemoveAll(filepath.Join(r.DataDir, newGroupDir)))
	}
	found.Copy = s.Copy
	meta.ClusterID, meta.Unfinished = randomID(), unfinishedRecover
	meta.identity, meta.WantsVote = identity{Incarnation: randomID()}, false
	if err := meta.write(r.DataDir); err != nil {
		return found, err
	}
	found.Cluster = meta.ClusterID
	return found, r.exchange(meta)
}

// open locks the directory and refuses one that nothing can be recovered from.
func (r *Recovery) open() (*os.File, metadata, error) {
	if r.Logger == nil {
		r.Logger = slog.Default()
	}
	meta, err := readMetadata(r.DataDir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = fmt.Errorf("%s is not a dtkv data directory: it has no %s", r.DataDir, metaFile)
	case err != nil:
	case meta.Removed:
		err = fmt.Errorf("data directory %s: node '%s' %w", r.DataDir, meta.NodeID, errRemoved)
	case meta.Joining:
		err = errNothing
	case meta.Unfinished != "" && meta.Unfinished != unfinishedRecover:
		err = fmt.Errorf("data directory %s: dtkv %s did not finish; run it again", r.DataDir, meta.Unfinished)
	}
	if err != nil {
		return nil, metadata{}, err
	}
	lock, err := lockDataDir(r.DataDir)
	return lock, meta, err
}

// survey reads all groups, one after the other. It keeps no state but that of group 0, whose catalogue says which other groups
// there are.
func (r *Recovery) survey(meta metadata) (Survivor, error) {
	s := Survivor{Node: meta.NodeID, Cluster: meta.ClusterID}
	held, err := meta.held(r.DataDir)
	if err != nil {
		return s, err
	}
	base, err := r.surveyGroup(place{}, meta)
	if err != nil {
		return s, err
	}
	if base.silent() {
		return s, errNothing
	}
	s.Groups = append(s.Groups, base)
	for _, known := range base.machine.View().Groups() {
		p := place{id: known.ID, generation: known.Generation}
		if !slices.ContainsFunc(held, func(h place) bool { return h.name() == p.name() }) {
			s.Lost = append(s.Lost, p.id)
			continue
		}
		g, err := r.surveyGroup(p, meta)
		if err != nil {
			return s, err
		}
		if g.silent() {
			s.Lost = append(s.Lost, p.id)
			continue
		}
		g.machine = nil
		s.Groups = append(s.Groups, g)
	}
	return s, nil
}

// silent reports whether no leader has ever been heard of here.
func (g *SurvivingGroup) silent() bool { return g.machine.View().Term() == 0 }

// surveyGroup reads one group.
func (r *Recovery) surveyGroup(p place, meta metadata) (g SurvivingGroup, err error) {
	dir := filepath.Join(r.DataDir, groupDir, p.name())
	if _, err := os.Stat(dir); err != nil { // opening would make it
		return g, fmt.Errorf("this node's part of group %d is missing: %w", p.id, err)
	}
	watch := newWatchdog(time.Hour, nil) // nobody arms it
	logger := raftLog{slog: r.Logger, hclog: raftLogger(r.Logger)}
	cfg := Config{DataDir: r.DataDir, NodeID: meta.NodeID, LogStore: LogStore(meta.LogStore), Sync: SyncAlways}
	stores, err := openStores(dir, cfg, watch, logger)
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, stores.close()) }()
	g = SurvivingGroup{Group: p.id, place: p, machine: fsm.New()}
	if err := g.fold(stores); err != nil {
		return g, fmt.Errorf("%s: %w", stores.dir, err)
	}
	g.Values = g.machine.View().Len()
	return g, nil
}

// fold makes the state of the newest snapshot and all entries behind it.
func (g *SurvivingGroup) fold(s *stores) error {
	meta, err := s.snaps.newest()
	if err != nil {
		return err
	}
	if meta.Index > 0 {
		_, r, err := s.snaps.Open(meta.ID)
		if err != nil {
			return err
		}
		g.machine, err = fsm.ReadSnapshot(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		g.Last, g.Term = meta.Index, meta.Term
		g.member(meta.Configuration)
	}
	last, err := s.log.LastIndex()
	if err != nil {
		return err
	}
	for i := g.Last + 1; i <= last; i++ {
		var l raft.Log
		if err := s.log.read(i, &l); err != nil {
			return err
		}
		if err := g.apply(&l); err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
	}
	return nil
}

func (g *SurvivingGroup) apply(l *raft.Log) error {
	g.Last, g.Term = l.Index, l.Term
	if l.Type == raft.LogConfiguration {
		g.member(raft.DecodeConfiguration(l.Data))
	}
	if l.Type != raft.LogCommand {
		g.machine.Advance(l.Index)
		return nil
	}
	entry, err := fsm.OpenEntry(l.Data)
	if err != nil {
		return err
	}
	entry.Index, entry.LogTerm = l.Index, l.Term
	_, err = g.machine.Apply(&entry, nil)
	return err
}

func (g *SurvivingGroup) member(c raft.Configuration) {
	g.Members = nil
	for _, s := range c.Servers {
		g.Members = append(g.Members, Member{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
}

// prepare writes the new groups beside the old ones, and lists them.
func (r *Recovery) prepare(meta *metadata, s *Survivor) error {
	dir := filepath.Join(r.DataDir, newGroupDir)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	meta.Groups = nil
	for i := range s.Groups {
		g := &s.Groups[i]
		if err := r.prepareGroup(dir, *meta, s, g); err != nil {
			return err
		}
		if g.Group != 0 {
			meta.list(g.place)
		}
	}
	return syncDir(r.DataDir)
}

// prepareGroup gives one group a new life with this node as its only member.
func (r *Recovery) prepareGroup(dir string, meta metadata, s *Survivor, g *SurvivingGroup) error {
	self := raft.Server{ID: raft.ServerID(meta.NodeID), Address: unknownAddress}
	for _, m := range g.Members {
		if m.ID == meta.NodeID {
			self.Address = raft.ServerAddress(m.Address)
		}
	}
	members := raft.Configuration{Servers: []raft.Server{self}}
	m := g.machine
	g.machine = nil // it may be large
	if g.Group == 0 {
		survives := func(known fsm.GroupRecord) bool { return !slices.Contains(s.Lost, known.ID) }
		if err := m.Resettle(survives, foundersOf(members)); err != nil {
			return err
		}
	} else { // the survey has forgotten it
		again, err := r.surveyGroup(g.place, meta)
		if err != nil {
			return err
		}
		m = again.machine
	}
	if err := m.Leap(leap); err != nil {
		return err
	}
	g.Begins = m.View().Index()
	logger := raftLog{slog: r.Logger, hclog: raftLogger(r.Logger)}
	return writeGroup(filepath.Join(dir, g.place.name()), m, members, logger)
}

// exchange puts the new groups in the place of the old ones. It may be repeated.
func (r *Recovery) exchange(meta metadata) error {
	prepared, place := filepath.Join(r.DataDir, newGroupDir), filepath.Join(r.DataDir, groupDir)
	if _, err := os.Stat(prepared); err == nil {
		if err := os.RemoveAll(place); err != nil {
			return err
		}
		if err := os.Rename(prepared, place); err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Remove(filepath.Join(r.DataDir, knownFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := syncDir(r.DataDir); err != nil {
		return err
	}
	meta.Unfinished = ""
	return meta.write(r.DataDir)
}

// copy copies the directory and returns where to. What has that name is whole.
func (r *Recovery) copy() (string, error) {
	to := r.CopyTo
	for i := 1; to == ""; i++ {
		name := fmt.Sprintf("%s.before-recover-%d", filepath.Clean(r.DataDir), i)
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			to = name
		} else if err != nil {
			return "", err
		}
	}
	if _, err := os.Lstat(to); !errors.Is(err, os.ErrNotExist) {
		return "", errors.Join(fmt.Errorf("%s is there already", to), err)
	}
	if inside, err := within(to, r.DataDir); inside || err != nil {
		return "", errors.Join(fmt.Errorf("%s is inside of it", to), err)
	}
	unfinished := to + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := copyTree(r.DataDir, unfinished); err != nil {
		return "", err
	}
	if err := os.Rename(unfinished, to); err != nil {
		return "", err
	}
	return to, syncDir(filepath.Dir(to))
}

// within reports whether a path leads below a directory.
func within(path, dir string) (bool, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return false, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return false, err
	}
	return strings.HasPrefix(path, dir+string(filepath.Separator)), nil
}

// copyTree copies directories and files, and syncs them. It leaves out the lock.
func copyTree(from, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		source, target := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch {
		case e.Name() == lockFile || e.Name() == newGroupDir:
		case e.IsDir():
			err = copyTree(source, target)
		case e.Type().IsRegular():
			err = copyFile(source, target)
		}
		if err != nil {
			return err
		}
	}
	return syncDir(to)
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return errors.Join(err, source.Close())
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Sync(), target.Close(), source.Close())
}
