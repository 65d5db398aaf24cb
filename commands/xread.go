package commands

import "github.com/dtkv/dtkv/resp"

// Bounds of one reply of XREAD, which may always show less than there is: the next one goes on from there.
const (
	maxEvents     = 10_000
	maxEventBytes = 16 << 20
)

var xreadCommand = Command{
	Name: "xread", Arity: -4, Flags: ReadOnly | Blocking | MovableKeys,
	Group: "stream", Since: "5.0.0", Complexity: "O(log N + M) for M events looked at",
	Summary:    "Answers the events of streams after the given ids, and may wait until there are some",
	Syntax:     "[COUNT count] [BLOCK milliseconds] STREAMS stream [stream ...] id [id ...]",
	Categories: []string{"stream"},
	Differs: "The streams are __events__ and __events__:path. An id is the log index of an entry and the number of the change " +
		"within it; - is the oldest event that this node has, + the newest. Events that are gone from its memory are refused with " +
		"COMPACTED. One reply holds at most 10000 events, or 16 MiB.",
	Plan: planXread,
}

// Streams is what one XREAD reads. Its ids move along while nothing is found.
type Streams struct {
	Millis int64 // to wait for something; 0: without end

	count int
	reads []streamRead
}

// streamRead is one stream of an XREAD.
type streamRead struct {
	name  []byte
	path  string
	from  byte // '$', '+' or '-' until it is known which id that is, else 0
	after EventID
}

var (
	errStreams = resp.Errorf("ERR", "Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.")
	errGroupID = resp.Errorf("ERR", "The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.")
)

func planXread(a *resp.Args, _ Settings) (Plan, error) {
	r := &Streams{}
	block := false
	for named := false; !named; {
		switch option := a.Keyword(); option {
		case "COUNT":
			r.count = int(max(0, min(a.Int(), maxEvents)))
		case "BLOCK":
			ms, ok := resp.ParseInt(a.Bytes())
			switch {
			case !ok || ms > maxBlock:
				a.Fail(errTimeout)
			case ms < 0:
				a.Fail(errNegativeTimeout)
			}
			block, r.Millis = true, ms
		case "STREAMS":
			named = true
		case "GROUP", "NOACK":
			a.Fail(resp.Errorf("ERR", "The %s option is only supported by XREADGROUP. You called XREAD instead.", option))
		default:
			a.Fail(resp.ErrSyntax)
		}
		if a.Err() != nil {
			return Plan{}, a.Err()
		}
	}
	names := a.Rest()
	if len(names) == 0 {
		return Plan{}, resp.ErrSyntax
	}
	if len(names)%2 != 0 {
		return Plan{}, errStreams
	}
	half := len(names) / 2
	for i, name := range names[:half] {
		r.add(a, name, names[half+i])
	}
	plan := Plan{Kind: Local, Local: func(w *resp.Writer, s Session) {
		if !r.Print(w, s) {
			w.NullArray()
		}
	}}
	if block {
		plan.Kind, plan.Await.Streams = Await, r
	}
	return plan, nil
}

const maxBlock = 1 << 42 // milliseconds, 139 years

func (r *Streams) add(a *resp.Args, name, id []byte) {
	read := streamRead{name: name, path: eventPath(a, name)}
	switch string(id) {
	case "$", "+", "-":
		read.from = id[0]
	case ">":
		a.Fail(errGroupID)
	default:
		var ok bool
		if read.after, ok = parseEventID(id, 0); !ok {
			a.Fail(errStreamID)
		}
	}
	r.reads = append(r.reads, read)
}

// Keep copies what refers to the arguments, so that the streams outlive them.
func (r *Streams) Keep() {
	for i := range r.reads {
		r.reads[i].name = append([]byte(nil), r.reads[i].name...)
	}
}

// Each calls fn with each path, and the id after which nothing of it has been found.
func (r *Streams) Each(fn func(path string, after EventID)) {
	for _, read := range r.reads {
		fn(read.path, read.after)
	}
}

// Print prints the reply, if there is anything to tell, be it an error.
func (r *Streams) Print(w *resp.Writer, s Session) bool {
	found := make([][]Event, len(r.reads))
	streams, count, bytes := 0, r.count, maxEventBytes
	if count == 0 {
		count = maxEvents
	}
	for i := range r.reads {
		read := &r.reads[i]
		read.begin(s)
		list, next, err := s.EventsAfter(read.path, read.after, count)
		if err != nil {
			streamError(w, err)
			return true
		}
		list = cut(list, &bytes)
		if len(list) == 0 {
			read.after = next
			continue
		}
		found[i] = list
		streams++
	}
	if streams == 0 {
		return false
	}
	if w.Proto == 3 {
		w.Map(streams)
	} else {
		w.Array(streams)
	}
	for i, list := range found {
		if len(list) == 0 {
			continue
		}
		if w.Proto != 3 {
			w.Array(2)
		}
		w.Bulk(r.reads[i].name)
		printEvents(w, list)
	}
	return true
}

// begin finds out which id was meant.
func (r *streamRead) begin(s Session) {
	switch r.from {
	case '$':
		r.after = s.LastEvent()
	case '-':
		r.after = s.OldestEvent()
	case '+':
		r.after = s.LastEvent()
		if last := s.EventsBefore(r.path, lastEventID, 1); len(last) > 0 {
			r.after = before(last[0].EventID)
		}
	}
	r.from = 0
}

// before is an id below i with nothing between them.
func before(i EventID) EventID { return EventID{i.Index, i.N - 1} } // an event's N is at least 1

// cut keeps as many events as there is room for, one at least for the first list, and takes theirs from it.
func cut(list []Event, room *int) []Event {
	for i := range list {
		if *room <= 0 {
			return list[:i]
		}
		*room -= len(list[i].Key)
		if n := list[i].Node; n != nil {
			*room -= len(n.Value)
		}
	}
	return list
}
