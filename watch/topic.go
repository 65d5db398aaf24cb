package watch

import (
	"strconv"
	"strings"

	"github.com/dtkv/dtkv/fsm"
)

// Kind says what somebody subscribed to, and so the kind of a message.
type Kind uint8

// The kinds of subscriptions: SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE.
const (
	Channel Kind = iota
	Pattern
	Shard
	kinds
)

// source says whose messages a topic carries beside those of PUBLISH.
type source uint8

const (
	fromNobody source = iota
	fromKeyspace
	fromKeyevent
	fromWatch
)

// sources are the beginnings of the names of channels that carry events, before the number of the group.
var sources = [...]struct {
	source source
	prefix string
}{
	{fromKeyspace, "__keyspace@"},
	{fromKeyevent, "__keyevent@"},
	{fromWatch, "__watch@"},
}

// maxGroup bounds the numbers of groups in names of channels, so that names cannot make groups without end.
const maxGroup = 1 << 14

// parseName takes the name of a channel of events apart: __watch@<group>__:<rest>.
func parseName(name string) (from source, group int, rest string) {
	for _, s := range sources {
		tail, ok := strings.CutPrefix(name, s.prefix)
		if !ok {
			continue
		}
		number, rest, ok := strings.Cut(tail, "__:")
		if !ok || len(number) > 1 && number[0] == '0' {
			break
		}
		if n, err := strconv.ParseUint(number, 10, 32); err == nil && n < maxGroup {
			return s.source, int(n), rest
		}
	}
	return fromNobody, 0, ""
}

// GroupOf returns the number of the group whose events a channel carries, or all channels that fit a pattern do. ok is false
// for other names.
func GroupOf(k Kind, name string) (group int, ok bool) {
	if k == Shard || !strings.HasPrefix(name, "__") {
		return 0, false
	}
	if k == Pattern {
		name = newGlob(name).prefix()
	}
	from, group, _ := parseName(name)
	return group, from != fromNobody
}

func appendName(b []byte, from source, group int, rest string) []byte {
	b = append(b, sources[from-1].prefix...)
	b = strconv.AppendInt(b, int64(group), 10)
	b = append(b, "__:"...)
	return append(b, rest...)
}

// topic is a channel, shard channel or pattern that somebody is subscribed to. All fields but subs are set once; subs
// is guarded by the hub.
type topic struct {
	name string
	kind Kind
	subs []*subscription

	glob   *glob  // of a pattern
	prefix string // of a pattern: what every match begins with

	from  source // of a pattern: only fromWatch, as it has to be known where its state is
	group *group // unless from nobody
	key   string // what follows "__:"; of a pattern, as far as it is literal
}

// overhead is about what a topic and its place in the indexes take beside its name.
const overhead = 256

// newTopic makes the topic of a name. A pattern has at most MaxPattern bytes.
func (h *Hub) newTopic(kind Kind, name string) *topic {
	t := &topic{name: name, kind: kind}
	literal := name
	if kind == Pattern {
		t.glob = newGlob(name)
		t.prefix = t.glob.prefix()
		literal = t.prefix
	}
	from, number, rest := parseName(literal)
	if kind == Shard || from == fromNobody || kind == Pattern && from != fromWatch {
		return t
	}
	t.from, t.group, t.key = from, h.group(number), rest
	return t
}

// size returns about how many bytes the topic takes.
func (t *topic) size() int {
	n := len(t.name) + overhead
	if t.glob != nil {
		n += t.glob.size()
	}
	return n
}

// hears reports whether events may concern the topic.
func (t *topic) hears() bool {
	return t.from != fromNobody || t.kind == Pattern && t.mayNotify(-1)
}

// mayNotify reports whether keyspace notifications of that group, or of any if it is below 0, may fit the pattern.
func (t *topic) mayNotify(group int) bool {
	const notify = "__key"
	if !strings.HasPrefix(t.prefix, notify) && !strings.HasPrefix(notify, t.prefix) {
		return false
	}
	from, of, _ := parseName(t.prefix)
	return from == fromNobody || group < 0 || of == group
}

// names reports whether a pattern is for the notifications of that group alone.
func (t *topic) names(group int) bool {
	from, of, _ := parseName(t.prefix)
	return from != fromNobody && of == group
}

// dir returns the directory below which all matches of a watched pattern are.
func (t *topic) dir() string {
	return t.key[:max(0, strings.LastIndexByte(t.key, fsm.Separator))]
}

func (t *topic) add(b *subscription) {
	b.at = len(t.subs)
	t.subs = append(t.subs, b)
}

func (t *topic) drop(b *subscription) {
	last := len(t.subs) - 1
	t.subs[b.at] = t.subs[last]
	t.subs[b.at].at = b.at
	t.subs[last] = nil
	t.subs = t.subs[:last]
}
