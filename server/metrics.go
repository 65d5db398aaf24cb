package server

import (
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dtkv/dtkv/commands"
	"github.com/dtkv/dtkv/latency"
)

// Metrics are gathered when somebody asks for them, from counters that are there anyway: nothing on the way of a command
// knows of Prometheus.

// metric is one name that /metrics exports.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// names are all metrics that were declared, for the documentation.
type names struct{ list []declared }

type declared struct{ name, kind, labels, help string }

func (n *names) declare(name string, kind prometheus.ValueType, help string, labels ...string) metric {
	words := map[prometheus.ValueType]string{prometheus.CounterValue: "counter", prometheus.GaugeValue: "gauge", prometheus.UntypedValue: "histogram"}
	n.list = append(n.list, declared{name, words[kind], strings.Join(labels, ", "), help})
	return metric{prometheus.NewDesc(name, help, labels, nil), kind}
}

func (n *names) gauge(name, help string, labels ...string) metric {
	return n.declare(name, prometheus.GaugeValue, help, labels...)
}

func (n *names) counter(name, help string, labels ...string) metric {
	return n.declare(name, prometheus.CounterValue, help, labels...)
}

func (n *names) histogram(name, help string, labels ...string) metric {
	return n.declare(name, prometheus.UntypedValue, help, labels...)
}

// gathering is one scrape.
type gathering struct {
	s  *Server
	to chan<- prometheus.Metric
}

func (g gathering) value(m metric, v float64, labels ...string) {
	g.to <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
}

func (g gathering) flag(m metric, on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	g.value(m, v, labels...)
}

// Bounds of the buckets that /metrics shows: every second power of two of a microsecond, from 64 µs to 67 s.
const (
	leastBucket = 64 * time.Microsecond
	mostBucket  = time.Minute + 8*time.Second
)

func (g gathering) took(m metric, h latency.Snapshot, labels ...string) {
	below := map[float64]uint64{}
	at := leastBucket
	h.Powers(func(bound time.Duration, n uint64) {
		if bound == at && bound <= mostBucket {
			below[bound.Seconds()] = n
			at *= 4
		}
	})
	g.to <- prometheus.MustNewConstHistogram(m.desc, h.Count, h.Sum.Seconds(), below, labels...)
}

// gatherer is a collector whose metrics are known only once they are collected: which commands were called, which groups are
// here.
type gatherer struct{ *Server }

// Describe implements prometheus.Collector by saying nothing.
func (gatherer) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s gatherer) Collect(to chan<- prometheus.Metric) {
	g := gathering{s.Server, to}
	g.node()
	g.clients()
	g.events()
	for _, id := range s.heldGroups() {
		if group := s.group(id); group != nil {
			g.group(group)
		}
	}
}

// metricsHandler answers /metrics.
func (s *Server) metricsHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(gatherer{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, EnableOpenMetrics: true})
}

var exported names

var (
	nodeInfo  = exported.gauge("dtkv_node_info", "1, with the names of node, cluster and release as labels", "cluster", "node", "version", "go_version")
	nodeReady = exported.gauge("dtkv_node_ready", "1 while group 0 serves reads and writes at this node")
	diskFree  = exported.gauge("dtkv_disk_free_bytes", "room left for the data directory")
	diskSize  = exported.gauge("dtkv_disk_size_bytes", "size of the file system of the data directory")

	commandTook = exported.histogram("dtkv_command_duration_seconds", "time from when a command began to its reply, without the sockets", "command")
	commandBad  = exported.counter("dtkv_command_errors_total", "commands answered with an error: failed, or rejected before they were called", "command", "kind")
	errorReply  = exported.counter("dtkv_error_replies_total", "error replies by their first word", "prefix")
	panics      = exported.counter("dtkv_command_panics_total", "commands that panicked; each is a bug")
	slowCount   = exported.counter("dtkv_slowlog_entries_total", "entries that the slow log has taken")
	lookups     = exported.counter("dtkv_lookups_total", "reads of keys by whether there was one", "result")

	clientCount    = exported.gauge("dtkv_clients", "clients that are connected")
	clientMost     = exported.gauge("dtkv_clients_limit", "how many may be")
	clientBlocked  = exported.gauge("dtkv_clients_blocked", "clients that wait for a lock or an event", "for")
	clientCame     = exported.counter("dtkv_clients_accepted_total", "clients that came")
	clientRejected = exported.counter("dtkv_clients_rejected_total", "clients that were refused for being too many")
	bytesIn        = exported.counter("dtkv_received_bytes_total", "bytes from clients")
	bytesOut       = exported.counter("dtkv_sent_bytes_total", "bytes to clients")

	subscribers   = exported.gauge("dtkv_subscribers", "clients that are subscribed to something")
	channels      = exported.gauge("dtkv_channels", "names with subscribers", "kind")
	ringEvents    = exported.gauge("dtkv_event_ring_events", "events that are remembered")
	ringBytes     = exported.gauge("dtkv_event_ring_bytes", "memory that they take")
	eventLag      = exported.gauge("dtkv_event_lag", "events that were applied and not yet given to subscribers")
	eventsOut     = exported.counter("dtkv_events_dispatched_total", "events given to subscribers")
	eventsMerged  = exported.counter("dtkv_watch_merged_total", "messages to watchers that a newer one replaced before they were read")
	eventsLost    = exported.counter("dtkv_watch_lost_total", "times that a watcher began anew with the state, because it had missed something")
	eventGaps     = exported.counter("dtkv_event_gaps_total", "times that the events of a group were interrupted, by a snapshot or for being too many")
	slowConsumers = exported.counter("dtkv_subscribers_dropped_total", "subscribers that were disconnected for not reading")
)

// node tells of the process.
func (g gathering) node() {
	s := g.s
	cluster, id := "", ""
	if n := s.node; n != nil && s.groups.Load() != nil {
		cluster, id = n.ClusterID(), n.ID()
	}
	g.value(nodeInfo, 1, cluster, id, Version, runtime.Version())
	g.flag(nodeReady, s.serves())
	if free, size, ok := diskSpace(s.cfg.DataDir); ok {
		g.value(diskFree, float64(free))
		g.value(diskSize, float64(size))
	}
	s.lookBack(nil, func(c *commands.Command, did *commandStats) {
		if took := did.took.Snapshot(); took.Count > 0 {
			g.took(commandTook, took, c.Name)
		}
		g.value(commandBad, float64(did.failed.Load()), c.Name, "failed")
		g.value(commandBad, float64(did.rejected.Load()), c.Name, "rejected")
	})
	_, kinds := s.errors.snapshot()
	for _, k := range kinds {
		g.value(errorReply, float64(k.count), k.prefix)
	}
	g.value(panics, float64(s.panics.Load()))
	g.value(slowCount, float64(s.slowlog.total.Load()))
}

func (g gathering) clients() {
	sum, received, rejected, connected := g.s.clients.totals()
	watched := g.s.hub.Stats()
	g.value(clientCount, float64(connected))
	g.value(clientMost, float64(g.s.live.maxClients.Load()))
	g.value(clientBlocked, float64(watched.Parked), "lock")
	g.value(clientBlocked, float64(watched.Waits), "stream")
	g.value(clientCame, float64(received))
	g.value(clientRejected, float64(rejected))
	g.value(bytesIn, float64(sum.netIn))
	g.value(bytesOut, float64(sum.netOut))
	g.value(lookups, float64(sum.hits), "hit")
	g.value(lookups, float64(sum.misses), "miss")
}

func (g gathering) events() {
	watched := g.s.hub.Stats()
	g.value(subscribers, float64(watched.Subscribers))
	g.value(channels, float64(watched.Channels), "channel")
	g.value(channels, float64(watched.Patterns), "pattern")
	g.value(channels, float64(watched.ShardChannels), "shard")
	g.value(ringEvents, float64(watched.RingEvents))
	g.value(ringBytes, float64(watched.RingBytes))
	g.value(eventLag, float64(watched.Lag))
	g.value(eventsOut, float64(watched.Dispatched))
	g.value(eventsMerged, float64(watched.Merged))
	g.value(eventsLost, float64(watched.Lost))
	g.value(eventGaps, float64(watched.Gaps))
	g.value(slowConsumers, float64(watched.TooSlow))
}
