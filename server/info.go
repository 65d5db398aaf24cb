package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/replica"
)

// infoWait bounds how long INFO waits for the number of keys, which needs a leader.
const infoWait = 100 * time.Millisecond

// infoSections are all sections in the order in which INFO prints them. The names of the fields are Redis's: tools find
// their way by them. Fields that would have to be invented are left out.
var infoSections = []struct {
	name  string
	print func(s *Server, g group, f *fields)
}{
	{"Server", infoServer},
	{"Clients", infoClients},
	{"Memory", infoMemory},
	{"Persistence", infoPersistence},
	{"Stats", infoStats},
	{"Replication", infoReplication},
	{"CPU", infoCPU},
	{"Modules", func(*Server, group, *fields) {}},
	{"Commandstats", infoCommands},
	{"Errorstats", infoErrors},
	{"Latencystats", infoLatencies},
	{"Cluster", func(_ *Server, _ group, f *fields) { f.number("cluster_enabled", 0) }},
	{"Raft", infoRaft},
	{"Watch", infoWatch},
	{"Keyspace", infoKeyspace},
}

// unusual sections are printed only for those who ask for them, or for all.
var unusual = map[string]bool{"Commandstats": true, "Latencystats": true}

// fields are the lines of one section.
type fields []commands.InfoField

func (f *fields) text(name, value string) {
	*f = append(*f, commands.InfoField{Name: name, Value: value})
}

func (f *fields) number(name string, n int64) { f.text(name, strconv.FormatInt(n, 10)) }

func (f *fields) bytes(name string, n int64) {
	f.number(name, n)
	f.text(name+"_human", human(n))
}

func (f *fields) flag(name string, on bool) {
	if on {
		f.number(name, 1)
	} else {
		f.number(name, 0)
	}
}

// human prints bytes as Redis does.
func human(n int64) string {
	for _, u := range []struct {
		size int64
		unit string
	}{{1 << 40, "T"}, {1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}} {
		if n >= u.size {
			return fmt.Sprintf("%.2f%s", float64(n)/float64(u.size), u.unit)
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// info prints the sections asked for; see commands.Node.
func (s *Server) info(g group, names []string) []commands.InfoSection {
	every := slices.Contains(names, "all") || slices.Contains(names, "everything")
	usual := every || len(names) == 0 || slices.Contains(names, "default")
	var list []commands.InfoSection
	for i := range infoSections {
		section := &infoSections[i]
		name := strings.ToLower(section.name)
		if every || usual && !unusual[section.name] || slices.Contains(names, name) {
			var f fields
			section.print(s, g, &f)
			list = append(list, commands.InfoSection{Name: section.name, Fields: f})
		}
	}
	return list
}

func infoServer(s *Server, _ group, f *fields) {
	f.text("redis_version", commands.RedisVersion)
	f.text("dtkv_version", Version)
	f.text("redis_mode", "standalone")
	f.text("os", operatingSystem())
	f.number("arch_bits", strconv.IntSize)
	f.text("go_version", runtime.Version())
	f.number("process_id", int64(os.Getpid()))
	f.text("run_id", s.runID)
	if s.listener != nil {
		_, port, _ := net.SplitHostPort(s.listener.Addr().String())
		f.text("tcp_port", port)
	}
	now := time.Now()
	f.number("server_time_usec", now.UnixMicro())
	up := int64(now.Sub(s.started).Seconds())
	f.number("uptime_in_seconds", up)
	f.number("uptime_in_days", up/86400)
	if path, err := os.Executable(); err == nil {
		f.text("executable", path)
	}
	if dir, err := filepath.Abs(s.cfg.DataDir); err == nil {
		f.text("data_dir", dir)
	}
	f.text("config_file", "")
	f.number("io_threads_active", 0)
}

// operatingSystem is the name and release of the kernel.
var operatingSystem = sync.OnceValue(func() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS + " " + runtime.GOARCH
	}
	return "Linux " + strings.TrimSpace(string(release)) + " " + runtime.GOARCH
})

func infoClients(s *Server, _ group, f *fields) {
	_, _, _, connected := s.clients.totals()
	f.number("connected_clients", int64(connected))
	f.number("cluster_connections", 0)
	f.number("maxclients", s.live.maxClients.Load())
	f.number("maxfiles", openFiles())
	watched := s.hub.Stats()
	f.number("pubsub_clients", int64(watched.Subscribers))
	f.number("blocked_clients", int64(watched.Waits+watched.Parked))
	f.number("tracking_clients", 0)
}

// infoMemory asks the Go runtime, which answers without stopping the world.
func infoMemory(_ *Server, _ group, f *fields) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	used := int64(samples[0].Value.Uint64())
	mapped := int64(samples[1].Value.Uint64() - samples[2].Value.Uint64())
	f.bytes("used_memory", used)
	f.bytes("used_memory_rss", residentMemory(mapped))
	f.bytes("used_memory_peak", peakMemory())
	f.bytes("total_system_memory", systemMemory())
	f.number("maxmemory", 0)
	f.text("maxmemory_human", "0B")
	f.text("maxmemory_policy", "noeviction")
	f.text("mem_allocator", "go")
}

// residentMemory is what the process holds in memory, or guess where the system does not tell.
func residentMemory(guess int64) int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return guess
	}
	parts := strings.Fields(string(data))
	if len(parts) < 2 {
		return guess
	}
	pages, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return guess
	}
	return pages * int64(os.Getpagesize())
}

// peakMemory is the most the process has ever held in memory.
func peakMemory() int64 {
	unit := int64(1 << 10)
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return int64(usage().Maxrss) * unit
}

func usage() (u syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails only for arguments we do not pass
	return u
}

// systemMemory is the memory of the machine in bytes, 0 if the system does not tell.
var systemMemory = sync.OnceValue(func() int64 {
	data, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(data)) {
		if parts := strings.Fields(line); len(parts) >= 2 && parts[0] == "MemTotal:" {
			kilobytes, _ := strconv.ParseInt(parts[1], 10, 64)
			return kilobytes << 10
		}
	}
	return 0
})

// infoPersistence tells Redis's tools what they want to know: every write is logged, as with an append-only file.
func infoPersistence(s *Server, g group, f *fields) {
	status := g.Status()
	_, loads := g.(loading)
	f.flag("loading", loads)
	f.number("async_loading", 0)
	f.number("rdb_changes_since_last_save", int64(status.Applied-min(status.SnapshotIndex, status.Applied)))
	f.flag("rdb_bgsave_in_progress", status.Saving)
	f.number("rdb_last_save_time", s.lastSave(status))
	f.text("rdb_last_bgsave_status", map[bool]string{false: "ok", true: "err"}[status.Unsaved])
	f.number("rdb_saves", int64(status.Snapshots))
	f.number("aof_enabled", 1)
	f.number("aof_rewrite_in_progress", 0)
	f.text("aof_last_bgrewrite_status", "ok")
	f.text("aof_last_write_status", "ok")
	f.number("aof_current_size", status.LogBytes)
	if free, size, ok := diskSpace(s.cfg.DataDir); ok {
		f.number("disk_free_bytes", int64(free))
		f.number("disk_size_bytes", int64(size))
	}
}

func infoStats(s *Server, g group, f *fields) {
	sum, received, rejected, _ := s.clients.totals()
	failed, _ := s.errors.snapshot()
	f.number("total_connections_received", int64(received))
	f.number("total_commands_processed", int64(sum.commands))
	f.number("instantaneous_ops_per_sec", s.pace.rate(sum.commands, time.Now()))
	f.number("total_net_input_bytes", int64(sum.netIn))
	f.number("total_net_output_bytes", int64(sum.netOut))
	f.number("rejected_connections", int64(rejected))
	f.number("expired_keys", int64(g.Status().Expired))
	f.number("evicted_keys", 0)
	f.number("keyspace_hits", int64(sum.hits))
	f.number("keyspace_misses", int64(sum.misses))
	watched := s.hub.Stats()
	f.number("pubsub_channels", int64(watched.Channels))
	f.number("pubsub_patterns", int64(watched.Patterns))
	f.number("pubsubshard_channels", int64(watched.ShardChannels))
	f.number("total_error_replies", int64(failed))
	f.number("command_panics", int64(s.panics.Load()))
}

// pace is the rate of commands between two looks at their number.
type pace struct {
	mu    sync.Mutex
	count uint64
	at    time.Time
	last  int64
}

// rate returns commands a second since the last call that was at least a tenth of a second ago.
func (p *pace) rate(count uint64, now time.Time) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if past := now.Sub(p.at); past >= 100*time.Millisecond {
		if !p.at.IsZero() && count >= p.count {
			p.last = int64(float64(count-p.count) / past.Seconds())
		}
		p.count, p.at = count, now
	}
	return p.last
}

func infoReplication(s *Server, g group, f *fields) {
	status := g.Status()
	if status.Role == "leader" {
		f.text("role", "master")
		infoReplicas(status, f)
	} else {
		r := role(status)
		f.text("role", "slave")
		f.text("master_host", r.Host)
		f.number("master_port", int64(r.Port))
		up := "down"
		if r.Link == "connected" {
			up = "up"
		}
		f.text("master_link_status", up)
		f.number("slave_repl_offset", r.Offset)
		f.number("slave_read_only", 0) // it takes writes, and passes them on
		f.number("connected_slaves", 0)
	}
	f.text("master_failover_state", "no-failover")
	f.text("master_replid", s.runID)
	f.text("master_replid2", strings.Repeat("0", len(s.runID)))
	f.number("master_repl_offset", int64(status.Applied))
	f.number("second_repl_offset", -1)
	f.number("repl_backlog_active", 0)
}

// Bounds on what counts as a replica.
const (
	silentFor   = 5 * time.Second // and it is offline
	behindBy    = 1000            // entries, and it is being sent what it lacks
	stateOnline = "online"
	stateBehind = "send_bulk"
	stateSilent = "offline"
)

// infoReplicas tells of those who follow.
func infoReplicas(status replica.Status, f *fields) {
	now, up := time.Now(), 0
	var lines []string
	for i := range status.Follows {
		one := &status.Follows[i]
		r, state := follower(one, status.LastIndex, now)
		if state != stateSilent {
			up++
		}
		lag := int64(-1)
		if !one.Heard.IsZero() {
			lag = int64(now.Sub(one.Heard).Seconds())
		}
		lines = append(lines, fmt.Sprintf("ip=%s,port=%d,state=%s,offset=%d,lag=%d", r.Host, r.Port, state, r.Offset, lag))
	}
	f.number("connected_slaves", int64(up))
	for i, line := range lines {
		f.text("slave"+strconv.Itoa(i), line)
	}
}

// follower is another member as Redis shows a replica.
func follower(f *replica.Follower, last uint64, now time.Time) (r commands.Replica, state string) {
	r.Offset = int64(f.Last)
	r.Host, r.Port = hostPort(f.Client)
	switch {
	case f.Heard.IsZero() || now.Sub(f.Heard) > silentFor:
		return r, stateSilent
	case f.Last+behindBy < last:
		return r, stateBehind
	}
	return r, stateOnline
}

// hostPort takes an address apart; of one that is not known nothing is left.
func hostPort(address string) (host string, port int) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0
	}
	port, _ = strconv.Atoi(text)
	return host, port
}

// role is a node's part in its group, as Redis names the parts.
func role(status replica.Status) commands.Role {
	r := commands.Role{Leader: status.Role == "leader", Offset: int64(status.Applied), Link: "connected"}
	if r.Leader {
		now := time.Now()
		for i := range status.Follows {
			if one, state := follower(&status.Follows[i], status.LastIndex, now); state != stateSilent {
				r.Replicas = append(r.Replicas, one)
			}
		}
		return r
	}
	if status.LeaderID == "" {
		r.Link = "connect"
		return r
	}
	r.Host, r.Port = hostPort(status.Client)
	return r
}

func infoCPU(_ *Server, _ group, f *fields) {
	u := usage()
	f.text("used_cpu_sys", seconds(u.Stime))
	f.text("used_cpu_user", seconds(u.Utime))
}

func seconds(t syscall.Timeval) string { return fmt.Sprintf("%d.%06d", t.Sec, t.Usec) }

// infoWatch tells of the way of events to those who wait for them.
func infoWatch(s *Server, _ group, f *fields) {
	watched := s.hub.Stats()
	f.number("watch_ring_events", int64(watched.RingEvents))
	f.number("watch_ring_bytes", watched.RingBytes)
	f.number("watch_lag_events", int64(watched.Lag))
	f.number("watch_dispatched_events", int64(watched.Dispatched))
	f.number("watch_merged_messages", int64(watched.Merged))
	f.number("watch_lost", int64(watched.Lost))
	f.number("watch_gaps", int64(watched.Gaps))
	f.number("watch_slow_subscribers", int64(watched.TooSlow))
	f.number("watch_state_reads", int64(watched.StateReads))
	f.number("watch_streams_waiting", int64(watched.Waits))
	f.number("watch_locks_waiting", int64(watched.Parked))
	f.number("watch_published_to_nodes", int64(s.broadcast.sent.Load()))
	f.number("watch_published_lost", int64(s.broadcast.lost.Load()))
}

// only is a group to whose keys INFO is confined.
type only struct{ group }

// infoKeyspace counts the values of each database, and what has a time to live: values, temporary directories, locks. A database
// without a leader is left out, since its number cannot be known, and so is an empty one, as in Redis.
func infoKeyspace(s *Server, g group, f *fields) {
	if _, one := g.(only); one {
		f.keyspace(g.Status().Group, s.countKeys(s.ctx, g))
		return
	}
	groups := s.catalogue().Groups()
	counts := make([]string, len(groups))
	var counting sync.WaitGroup
	for i := range groups {
		counting.Go(func() {
			if g := s.group(groups[i].ID); g != nil {
				counts[i] = s.countKeys(s.ctx, g)
			} else {
				counts[i] = s.askKeys(&groups[i])
			}
		})
	}
	counting.Wait()
	for i := range groups {
		f.keyspace(groups[i].ID, counts[i])
	}
}

func (f *fields) keyspace(db int, counts string) {
	if counts != "" {
		f.text("db"+strconv.Itoa(db), counts)
	}
}

func (s *Server) countKeys(ctx context.Context, g group) string {
	ctx, cancel := context.WithTimeout(ctx, infoWait)
	defer cancel()
	keys, expires := 0, 0
	if err := g.Read(ctx, func(v fsm.View) { keys, expires = v.Len(), v.Deadlines() }); err != nil || keys+expires == 0 {
		return ""
	}
	return fmt.Sprintf("keys=%d,expires=%d,avg_ttl=0", keys, expires)
}

// askKeys has another node count.
func (s *Server) askKeys(info *replica.GroupInfo) string {
	ctx, cancel := context.WithTimeout(s.ctx, 4*infoWait)
	defer cancel()
	reply, err := s.ask(ctx, info, "INFO", "keyspace")
	if err != nil {
		return ""
	}
	_, counts, _ := strings.Cut(reply, "db"+strconv.Itoa(info.ID)+":")
	counts, _, _ = strings.Cut(counts, "\r")
	return counts
}

// durable says how far acknowledged writes have surely gone; see commands.Node.
func durable(status replica.Status) (synced bool, replicas int) {
	voters := countVoters(status.Members)
	return status.Sync == replica.SyncAlways, voters / 2
}

// saves remembers when the number of snapshots was last seen to change.
type saves struct {
	mu   sync.Mutex
	seen map[int]save // by group, of which there are few
}

type save struct {
	count uint64
	at    time.Time
}

// lastSave is when the last snapshot was finished, or else when the node started, in seconds since the epoch.
func (s *Server) lastSave(status replica.Status) int64 {
	l := &s.saves
	l.mu.Lock()
	defer l.mu.Unlock()
	last, ok := l.seen[status.Group]
	if !ok {
		last.at = s.started
	}
	if status.Snapshots != last.count {
		last = save{status.Snapshots, time.Now()}
	}
	if l.seen == nil {
		l.seen = map[int]save{}
	}
	l.seen[status.Group] = last
	return last.at.Unix()
}
