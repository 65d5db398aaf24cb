package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dtkv/dtkv/replica"
	"github.com/dtkv/dtkv/watch"
)

// Option is one setting of [Config].
type Option struct {
	Name  string // --name, DTKV_NAME (dashes become underscores), "name value" in the file
	Value string // what to write there, for help texts
	Help  string

	set func(*Config, string) error
	get func(*Config) string
}

// Env returns the option's environment variable.
func (o Option) Env() string {
	return "DTKV_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
}

// Options are all settings, in the order in which help and docs print them.
var Options = []Option{
	text("addr", "host:port", "where clients connect", func(c *Config) *string { return &c.Addr }),
	text("peer-addr", "host:port", "where other nodes connect; empty: the client port + 10000", func(c *Config) *string { return &c.PeerAddr }),
	text("http-addr", "host:port", "health checks over HTTP; empty turns them off. It does not follow --addr: give each node on one machine its own",
		func(c *Config) *string { return &c.HTTPAddr }),
	text("data-dir", "path", "where the log and the snapshots live", func(c *Config) *string { return &c.DataDir }),
	text("node-id", "name", "this node's id; empty: as recorded in the data directory", func(c *Config) *string { return &c.NodeID }),
	{
		"peers", "id=host:port,..", "the nodes that form a new cluster, the same on all of them; empty: this node alone",
		func(c *Config, v string) (err error) { c.Peers, err = parsePeers(v); return err },
		func(c *Config) string { return formatPeers(c.Peers) },
	},
	{
		"join", "host:port,..", "peer addresses of nodes of a cluster that takes a new node in; later starts ignore it, and so do those among the peers",
		func(c *Config, v string) (err error) { c.Join, err = parseJoin(v); return err },
		func(c *Config) string { return strings.Join(c.Join, ",") },
	},
	{
		"learner", "yes|no", "a node that joins stays a learner: it has the data and no vote",
		func(c *Config, v string) error { return yesNo(&c.Learner, v) },
		func(c *Config) string { return formatYesNo(c.Learner) },
	},
	text("advertise", "host:port", "where other nodes reach this one, if that is not its peer-addr; with peers, what they say",
		func(c *Config) *string { return &c.Advertise }),
	text("advertise-addr", "host:port", "where clients reach this node, if that is not its addr", func(c *Config) *string { return &c.AdvertiseAddr }),
	{
		"requirepass", "password", "what clients must log in with, as user default; a flag can be seen by all users of the machine, so better set it elsewhere",
		func(c *Config, v string) error { c.RequirePass = v; return nil },
		func(*Config) string { return "" },
	},
	text("requirepass-file", "path", "a file with the passwords that let a client in, one a line; it is read again when it changes",
		func(c *Config) *string { return &c.RequirePassFile }),
	text("tls-cert-file", "path", "a certificate, PEM: with it, the client port speaks TLS; the files are read again when they change",
		func(c *Config) *string { return &c.TLSCert }),
	text("tls-key-file", "path", "its key, PEM", func(c *Config) *string { return &c.TLSKey }),
	text("tls-ca-cert-file", "path", "the CA, PEM, that signs the certificates of clients and nodes", func(c *Config) *string { return &c.TLSCA }),
	{
		"tls-auth-clients", "yes|no", "with TLS, clients need a certificate too",
		func(c *Config, v string) error { return yesNo(&c.TLSAuthClients, v) },
		func(c *Config) string { return formatYesNo(c.TLSAuthClients) },
	},
	{
		"peer-tls", "yes|no", "with TLS, nodes speak it among each other too, and need a certificate of a server that the CA signed",
		func(c *Config, v string) error { return yesNo(&c.PeerTLS, v) },
		func(c *Config) string { return formatYesNo(c.PeerTLS) },
	},
	{
		"allow-plaintext", "yes|no", "serve addresses beyond this machine unencrypted: for networks that are trusted or encrypted themselves",
		func(c *Config, v string) error { return yesNo(&c.AllowPlaintext, v) },
		func(c *Config) string { return formatYesNo(c.AllowPlaintext) },
	},
	{
		"sync", "always|os", "when a write counts as stored: after fsync, or once the operating system has it",
		func(c *Config, v string) error {
			return oneOf(&c.Sync, v, replica.SyncAlways, replica.SyncOS)
		},
		func(c *Config) string { return string(c.Sync) },
	},
	{
		"log-store", "wal|bolt", "which library keeps the Raft log",
		func(c *Config, v string) error {
			return oneOf(&c.LogStore, v, replica.StoreWAL, replica.StoreBolt)
		},
		func(c *Config) string { return string(c.LogStore) },
	},
	size("max-value-size", "longest value (1KiB to 32MiB)", minValueSize, maxValueSize,
		func(c *Config) int64 { return int64(c.MaxValueSize) }, func(c *Config, n int64) { c.MaxValueSize = int(n) }),
	{
		"auto-mkdir", "yes|no", "create missing parent directories, for applications that were written for Redis",
		func(c *Config, v string) error { return yesNo(&c.AutoMkdir, v) },
		func(c *Config) string { return formatYesNo(c.AutoMkdir) },
	},
	number("max-clients", "most connected clients", 1, maxMaxClients,
		func(c *Config) int64 { return int64(c.MaxClients) }, func(c *Config, n int64) { c.MaxClients = int(n) }),
	duration("timeout", "disconnect a client that has been idle for so long; 0: never", 0,
		func(c *Config) *time.Duration { return &c.Timeout }),
	{
		"notify-keyspace-events", "flags", "keyspace notifications to publish, in Redis's letters; empty: none",
		func(c *Config, v string) (err error) { c.Notify, err = watch.ParseNotify(v); return err },
		func(c *Config) string { return c.Notify.String() },
	},
	number("event-ring-events", "events that each group remembers for XREAD and XRANGE", 1, 1<<30,
		func(c *Config) int64 { return int64(c.EventRingEvents) }, func(c *Config, n int64) { c.EventRingEvents = int(n) }),
	size("event-ring-bytes", "memory they may take", 1<<10, math.MaxInt64,
		func(c *Config) int64 { return c.EventRingBytes }, func(c *Config, n int64) { c.EventRingBytes = n }),
	size("client-output-buffer-limit-pubsub", "what may wait for one subscriber before watches begin anew and others are disconnected",
		minOutput, math.MaxInt64, func(c *Config) int64 { return c.PubSubOutput }, func(c *Config, n int64) { c.PubSubOutput = n }),
	number("slowlog-log-slower-than", "microseconds from which on a command goes into the slow log; -1: none", -1, maxSlow,
		func(c *Config) int64 { return c.SlowlogOver }, func(c *Config, n int64) { c.SlowlogOver = n }),
	number("slowlog-max-len", "entries that the slow log keeps", 0, maxSlowlog,
		func(c *Config) int64 { return c.SlowlogMaxLen }, func(c *Config, n int64) { c.SlowlogMaxLen = n }),
	number("latency-monitor-threshold", "milliseconds from which on the latency monitor takes notice; 0: never", 0, maxSlow,
		func(c *Config) int64 { return c.LatencyThreshold }, func(c *Config, n int64) { c.LatencyThreshold = n }),
	number("snapshot-entries", "snapshot after so many log entries", 1, math.MaxInt64,
		func(c *Config) int64 { return int64(c.SnapshotEntries) }, func(c *Config, n int64) { c.SnapshotEntries = uint64(n) }),
	size("snapshot-bytes", "snapshot after so much log", 1<<20, math.MaxInt64,
		func(c *Config) int64 { return c.SnapshotBytes }, func(c *Config, n int64) { c.SnapshotBytes = n }),
	duration("snapshot-interval", "snapshot after this time if anything changed", time.Second,
		func(c *Config) *time.Duration { return &c.SnapshotInterval }),
	{
		"log-level", "debug|info|warn|error", "least level of log lines",
		func(c *Config, v string) error {
			if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil {
				return errors.New("want debug, info, warn or error")
			}
			return nil
		},
		func(c *Config) string { return strings.ToLower(c.LogLevel.String()) },
	},
}

func text(name, value, help string, field func(*Config) *string) Option {
	return Option{
		name, value, help,
		func(c *Config, v string) error { *field(c) = v; return nil },
		func(c *Config) string { return *field(c) },
	}
}

func number(name, help string, low, high int64, get func(*Config) int64, set func(*Config, int64)) Option {
	return Option{
		name, "number", help,
		func(c *Config, v string) error {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < low || n > high {
				return fmt.Errorf("want a number from %d to %d", low, high)
			}
			set(c, n)
			return nil
		},
		func(c *Config) string { return strconv.FormatInt(get(c), 10) },
	}
}

func size(name, help string, low, high int64, get func(*Config) int64, set func(*Config, int64)) Option {
	return Option{
		name, "size", help,
		func(c *Config, v string) error {
			n, err := parseSize(v)
			if err != nil {
				return err
			}
			if n < low || n > high {
				return fmt.Errorf("want a size from %s to %s", formatSize(low), formatSize(high))
			}
			set(c, n)
			return nil
		},
		func(c *Config) string { return formatSize(get(c)) },
	}
}

func duration(name, help string, low time.Duration, field func(*Config) *time.Duration) Option {
	return Option{
		name, "duration", help,
		func(c *Config, v string) error {
			d, err := time.ParseDuration(v)
			if seconds, serr := strconv.ParseUint(v, 10, 31); serr == nil { // A bare number is seconds, as in Redis.
				d, err = time.Duration(seconds)*time.Second, nil
			}
			if err != nil || d < low {
				return fmt.Errorf("want a duration such as 30s or 1h, at least %s", low)
			}
			*field(c) = d
			return nil
		},
		func(c *Config) string { return field(c).String() },
	}
}

func oneOf[T ~string](field *T, v string, choices ...T) error {
	names := make([]string, len(choices))
	for i, choice := range choices {
		if v == string(choice) {
			*field = choice
			return nil
		}
		names[i] = string(choice)
	}
	return fmt.Errorf("want %s", strings.Join(names, " or "))
}

func yesNo(field *bool, v string) error {
	switch v {
	case "yes", "true", "1":
		*field = true
	case "no", "false", "0":
		*field = false
	default:
		return errors.New("want yes or no")
	}
	return nil
}

func formatYesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// sizeUnits are tried longest suffix first. As in Redis, kb is 1024 bytes.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"kib", 1 << 10},
	{"mib", 1 << 20},
	{"gib", 1 << 30},
	{"kb", 1 << 10},
	{"mb", 1 << 20},
	{"gb", 1 << 30},
	{"b", 1},
	{"", 1},
}

func parseSize(v string) (int64, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(strings.ToLower(v), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, errors.New("want a size such as 1048576, 512KiB or 64MiB")
}

func formatSize(n int64) string {
	for _, u := range []int{2, 1, 0} {
		if n >= sizeUnits[u].bytes && n%sizeUnits[u].bytes == 0 {
			return strconv.FormatInt(n/sizeUnits[u].bytes, 10) + []string{"KiB", "MiB", "GiB"}[u]
		}
	}
	return strconv.FormatInt(n, 10)
}

// SetFromFile reads "name value" lines. Blank lines and what follows a # at the start of a line or after a space are
// skipped. Errors name the file and the line.
func (c *Config) SetFromFile(name string, r io.Reader) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(stripComment(lines.Text()))
		if line == "" {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if err := c.Set(key, value); err != nil {
			return fmt.Errorf("%s line %d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func stripComment(line string) string {
	line = strings.ReplaceAll(line, "\t", " ")
	if strings.HasPrefix(line, "#") {
		return ""
	}
	before, _, _ := strings.Cut(line, " #")
	return before
}

// SetFromEnv takes the options that have an environment variable. Other variables that begin with DTKV_ are left alone:
// container platforms make up such names for their own use.
func (c *Config) SetFromEnv(lookup func(string) (string, bool)) error {
	for _, o := range Options {
		value, ok := lookup(o.Env())
		if !ok {
			continue
		}
		if err := o.set(c, value); err != nil {
			return fmt.Errorf("%s %q: %w", o.Env(), value, err)
		}
	}
	return nil
}

// OptionsTable prints all options as a Markdown table, for the documentation.
func OptionsTable() string {
	var b strings.Builder
	b.WriteString("| flag | environment | value | default | what it does |\n| --- | --- | --- | --- | --- |\n")
	b.WriteString("| `--config` | `DTKV_CONFIG` | path | | read options from this file: `name value` lines, `#` comments |\n")
	defaults := Default()
	for _, o := range Options {
		def := o.get(&defaults)
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s | %s |\n", o.Name, o.Env(), strings.ReplaceAll(o.Value, "|", `\|`), def, o.Help)
	}
	return b.String()
}

// logger is where the node's lines go.
func (c *Config) logger() *slog.Logger {
	if c.Logger != nil {
		return c.Logger
	}
	return slog.Default()
}
