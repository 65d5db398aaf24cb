package commands

import (
	"bytes"
	"errors"
	"math"
	"strconv"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// The streams are read only: __events__ shows every change of the database, and __events__:<path> those of one node and
// all below it. No key of the tree is one.
const (
	eventStream = "__events__"
	eventPrefix = eventStream + ":"
)

// EventID is the place of an event: its log entry, and which of the entry's changes it is, counted from 1.
type EventID struct{ Index, N uint64 }

// lastEventID is beyond every event.
var lastEventID = EventID{math.MaxUint64, math.MaxUint64}

func (i EventID) less(j EventID) bool { return i.Index < j.Index || i.Index == j.Index && i.N < j.N }

// next is the least id above i, which must not be the last one.
func (i EventID) next() EventID {
	if i.N == math.MaxUint64 {
		return EventID{i.Index + 1, 0}
	}
	return EventID{i.Index, i.N + 1}
}

// Event is one entry of a stream.
type Event struct {
	EventID
	fsm.Event
}

// CompactedError says that events were asked for that this node no longer has.
type CompactedError struct {
	Oldest EventID // after it, nothing is missing
}

// Error is the reply to the client, which may go on from there, but has missed something.
func (e *CompactedError) Error() string { return "COMPACTED oldest is " + string(e.Oldest.text(nil)) }

func (i EventID) text(b []byte) []byte {
	b = strconv.AppendUint(b, i.Index, 10)
	return strconv.AppendUint(append(b, '-'), i.N, 10)
}

var (
	errStreamID    = resp.Errorf("ERR", "Invalid stream ID specified as stream command argument")
	errStreamStart = resp.Errorf("ERR", "invalid start ID for the interval")
	errStreamEnd   = resp.Errorf("ERR", "invalid end ID for the interval")
	errNoStream    = resp.Errorf("ERR", "no such stream: there are %s, and %s followed by a path", eventStream, eventPrefix)
)

// eventPath reads the name of a stream: the path whose events it shows, empty for all.
func eventPath(a *resp.Args, name []byte) string {
	path, ok := bytes.CutPrefix(name, []byte(eventPrefix))
	switch {
	case string(name) == eventStream:
		return ""
	case !ok:
		a.Fail(errNoStream)
	case fsm.CheckKey(path) != nil:
		a.Fail(RefusalError(fsm.CheckKey(path)))
	}
	return string(path)
}

// parseEventID reads index-n, or index alone, for which n is what is missing.
func parseEventID(sent []byte, missing uint64) (EventID, bool) {
	index, n, whole := bytes.Cut(sent, []byte("-"))
	id := EventID{N: missing}
	var ok bool
	if id.Index, ok = parseUint(index); ok && whole {
		id.N, ok = parseUint(n)
	}
	return id, ok
}

func parseUint(sent []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(sent), 10, 64)
	return n, err == nil
}

// printEvents prints entries as XRANGE does.
func printEvents(w *resp.Writer, list []Event) {
	w.Array(len(list))
	for i := range list {
		list[i].print(w)
	}
}

func (e *Event) print(w *resp.Writer) {
	var id [48]byte
	w.Array(2)
	w.Bulk(e.text(id[:0]))
	kind, value := fsm.None, false
	if e.Node != nil {
		kind, value = e.Node.Kind, e.Node.Kind == fsm.Value
	}
	fields := 6
	if value {
		fields += 2
	}
	if e.Token != 0 {
		fields += 2
	}
	w.Array(fields)
	field(w, "event", e.What.String())
	field(w, "key", e.Key)
	field(w, "kind", kind.String())
	if value {
		field(w, "value", e.Node.Value)
	}
	if e.Token != 0 {
		w.BulkString("token")
		w.Bulk(strconv.AppendUint(id[:0], e.Token, 10))
	}
}

// streamError turns the error of a look at the events into a reply.
func streamError(w *resp.Writer, err error) {
	var gone *CompactedError
	if errors.As(err, &gone) {
		w.Error(resp.Errorf("COMPACTED", "oldest is %s", gone.Oldest.text(nil)))
		return
	}
	w.Error(err)
}
