package commands

import (
	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// Session is what a Local plan may ask of, and tell, the connection it runs for and the node behind it. Package server
// implements it. The methods neither block nor do I/O, and are called only by the connection's own goroutine.
//
// The protocol version is not here: it is the Proto field of the connection's [resp.Writer], which HELLO and RESET set.
type Session interface {
	Connection
	Clients
	Node
	Channels
	Events
	Times
}

// Connection is the state of the one client that sent the command.
type Connection interface {
	// ID is the connection's number, at least 1, never used twice while the node runs.
	ID() int64
	// Name is what CLIENT SETNAME gave; empty for none. Names reach SetName checked: no spaces, newlines or binary.
	Name() string
	SetName(name string)
	// SetLibrary records what CLIENT SETINFO declared; attribute is "lib-name" or "lib-ver", the value is checked.
	SetLibrary(attribute, value string)
	// Authenticate logs the connection in; false when user and password do not match, and then nothing changes.
	Authenticate(user, password string) bool
	// Authenticated is true when the connection may run commands without the NoAuth flag.
	Authenticated() bool
	// SetReply obeys CLIENT REPLY; see [ReplyMode].
	SetReply(m ReplyMode)
	SetNoEvict(on bool)
	SetNoTouch(on bool)
	// SetReadOnly opts in to (READONLY) or out of (READWRITE) local, possibly stale reads.
	SetReadOnly(on bool)
	// Owner is whom the connection acts for: what SetOwner was given, or else an owner that is nobody else. It is in
	// [Settings] too.
	Owner() fsm.Owner
	SetOwner(o fsm.Owner)
	// Subscribed is true while the connection is subscribed to anything.
	Subscribed() bool
	// Reset drops the transaction, watches, subscriptions, name, database, reply mode, READONLY, owner and login, as a new connection has
	// them.
	Reset()
}

// ReplyMode says which replies a client wants to see.
type ReplyMode uint8

const (
	ReplyOn   ReplyMode = iota // every reply, from this command on
	ReplyOff                   // none, from this command on, until ReplyOn
	ReplySkip                  // not the next command's; nothing changes when replies are off
)

// Clients is the view of all connections of this node.
type Clients interface {
	// Self describes the connection that asks.
	Self() Client
	// Clients describes every connection, in the order of their IDs.
	Clients() []Client
	// Kill closes a connection and reports whether it was there. The asking one is closed after the reply in hand.
	Kill(id int64) bool
}

// Client describes one connection as CLIENT LIST prints it. Sizes are in bytes, times in seconds.
type Client struct {
	ID               int64
	Addr, LocalAddr  string // host:port of either end
	FD               int    // file descriptor, or -1 when not known
	Name             string
	Age, Idle        int64  // since it connected; since its last command
	Flags            string // N normal, x in MULTI, d watched key changed, P subscriber, r READONLY, b blocked ...; never empty
	DB               int
	Sub, PSub, SSub  int // channels, patterns and shard channels subscribed to
	Multi            int // commands queued, or -1 outside MULTI
	Watch            int // keys watched
	QueryBuf         int // received and not yet consumed
	QueryFree        int // room left in the read buffer
	OutputMem        int // replies not yet written
	TotalMem         int
	Command          string // last command, as [Command].Name has it
	User             string
	Proto            int // 2 or 3
	LibName, LibVer  string
	NetIn, NetOut    int64 // bytes received and sent
	CommandsExecuted int64
}

// Node is what a client may learn about, and change in, the server it talks to.
type Node interface {
	// PasswordRequired is true when new connections must log in.
	PasswordRequired() bool
	// UnixMicro is the node's wall clock in microseconds since the epoch.
	UnixMicro() int64
	// LastSave is when the last snapshot was finished (or else when the node started), in seconds since the epoch.
	LastSave() int64
	// Save has a snapshot of the group of the connection's database be taken soon. It reports false when one is being taken. The
	// error is a *resp.Error, while there is no group yet.
	Save() (begun bool, err error)
	// Shutdown has the node stop, which ends the connection. The error is a *resp.Error that says why it does not.
	Shutdown() error
	// Role describes this node's part in the group of the connection's database.
	Role() Role
	// Info returns the named sections, in the order in which INFO prints them; names are in lower case and unknown ones
	// mean nothing. No names: the default ones. "all" among them: every section.
	Info(sections []string) []InfoSection
	// Parameters lists what CONFIG GET shows, ordered by name.
	Parameters() []Parameter
	// SetParameters changes all of them or, with an error, none. The names are known, settable and distinct. The error is
	// a *[ParameterError].
	SetParameters(p []Parameter) error
	// ResetStats sets the counters of INFO to zero (CONFIG RESETSTAT).
	ResetStats()
	// Durable says how far every write acknowledged so far has surely gone: whether this node has synced it to disk, and
	// how many other nodes hold it (0 in a group of one, at least quorum-1 elsewhere). WAIT and WAITAOF print it.
	Durable() (synced bool, replicas int)
}

// Channels are what publishers and subscribers of this node share.
type Channels interface {
	// Publish sends a message to those who are subscribed to the channel, and returns how many they are.
	Publish(s Space, channel, message []byte) int
	// ActiveChannels lists the channels that have subscribers and fit the pattern, in order; an empty one fits all.
	ActiveChannels(s Space, pattern string) []string
	// Subscribers counts those of one channel, without those by pattern.
	Subscribers(s Space, channel []byte) int
	// Patterns counts the patterns that have subscribers.
	Patterns() int
}

// Events are what happened to the keys of the connection's database, as far as this node remembers. A path is a node and
// all below it; the empty one is the whole database.
type Events interface {
	// EventsAfter returns the events of a path after an id, in order, at most that many unless it is 0, and the id to go on
	// from: nothing of the path is between. The error is a *[CompactedError].
	EventsAfter(path string, after EventID, most int) (list []Event, next EventID, err error)
	// EventsBefore returns the events of a path before an id, the newest first. Those that are gone are left out.
	EventsBefore(path string, before EventID, most int) []Event
	// EventCount returns how many events of a path there are.
	EventCount(path string) int
	// LastEvent is the newest id of the database.
	LastEvent() EventID
	// OldestEvent is the least id that EventsAfter takes.
	OldestEvent() EventID
}

// Times are how long things took at this node.
type Times interface {
	// SlowLog returns the newest entries of the slow log, the newest first.
	SlowLog(most int) []SlowCommand
	SlowLogLen() int
	ResetSlowLog()
	// Spikes returns the events of the latency monitor that have samples, ordered by name.
	Spikes() []Spike
	// SpikeHistory returns the samples of an event, the oldest first.
	SpikeHistory(event string) []Sample
	// ResetSpikes forgets the samples of events, of all without names, and returns how many of them had some.
	ResetSpikes(events []string) int
	// LatencyReport says in sentences what the latency monitor has seen.
	LatencyReport() string
	// CommandLatencies returns the commands of those names that were called, all of them without names. The name of a container
	// stands for its subcommands.
	CommandLatencies(names []string) []CommandLatency
}

// Role is a node's part in a group, for ROLE and HELLO.
type Role struct {
	Leader   bool
	Offset   int64     // applied log index
	Replicas []Replica // of a leader: the followers
	Host     string    // of a follower: the leader's client address, empty while unknown
	Port     int
	Link     string // of a follower: connect, connecting, sync or connected
}

// Replica is a follower as its leader sees it.
type Replica struct {
	Host   string
	Port   int
	Offset int64 // log index known to be there
}

// InfoSection is one "# Name" part of INFO.
type InfoSection struct {
	Name   string
	Fields []InfoField
}

// InfoField is one "name:value" line of INFO.
type InfoField struct{ Name, Value string }

// Parameter is one configuration parameter. Fixed ones are refused by CONFIG SET.
type Parameter struct {
	Name, Value string
	Fixed       bool
}

// ParameterError says why a value was refused, for instance {"timeout", "argument must be between 0 and 2147483647"}.
type ParameterError struct{ Name, Reason string }

// Error is the text Redis sends for a refused CONFIG SET.
func (e *ParameterError) Error() string {
	return "CONFIG SET failed (possibly related to argument '" + e.Name + "') - " + e.Reason
}

var _ error = (*resp.Error)(nil) // every refusal of this package; ParameterError becomes one in CONFIG SET
