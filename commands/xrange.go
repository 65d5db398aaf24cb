package commands

import (
	"math"

	"github.com/dtkv/dtkv/resp"
)

const rangeDiffers = "The streams are __events__ and __events__:path. Events that are gone from the node's memory are refused with " +
	"COMPACTED, unless the range begins with -."

var xrangeCommand = Command{
	Name: "xrange", Arity: -4, Flags: ReadOnly,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "stream", Since: "5.0.0", Complexity: "O(log N + M) for M events looked at",
	Summary:    "Answers the events of a stream from one id to another",
	Syntax:     "key start-id end-id [COUNT count]",
	Categories: []string{"stream"},
	Differs:    rangeDiffers,
	Plan:       planXrange(false),
}

var xrevrangeCommand = Command{
	Name: "xrevrange", Arity: -4, Flags: ReadOnly,
	First: 1, Last: 1, Step: 1, Access: "RO access",
	Group: "stream", Since: "5.0.0", Complexity: "O(log N + M) for M events looked at",
	Summary:    "Answers the events of a stream from one id back to another",
	Syntax:     "key end-id start-id [COUNT count]",
	Categories: []string{"stream"},
	Differs:    rangeDiffers,
	Plan:       planXrange(true),
}

// eventRange is a range of ids, both ends in it.
type eventRange struct {
	path      string
	low, high EventID
	oldest    bool // low is the oldest event there is
	count     int  // 0: all
	backward  bool
}

func planXrange(backward bool) func(*resp.Args, Settings) (Plan, error) {
	return func(a *resp.Args, _ Settings) (Plan, error) {
		r := eventRange{path: eventPath(a, a.Bytes()), backward: backward}
		start, end := a.Bytes(), a.Bytes()
		if backward {
			start, end = end, start
		}
		r.ends(a, start, end)
		none := false
		for a.More() {
			if a.Keyword() != "COUNT" || !a.More() {
				a.Fail(resp.ErrSyntax)
			}
			count := a.Int()
			none, r.count = count <= 0, int(min(count, math.MaxInt32))
		}
		if a.Err() != nil {
			return Plan{}, a.Err()
		}
		if none {
			return local(func(w *resp.Writer, _ Session) { w.NullArray() })
		}
		return local(r.print)
	}
}

// ends reads both ends of the range, as Redis does: a bracket leaves the end itself out.
func (r *eventRange) ends(a *resp.Args, start, end []byte) {
	var open bool
	if r.low, open = rangeID(a, start, 0); open {
		if r.low == lastEventID {
			a.Fail(errStreamStart)
			return
		}
		r.low = r.low.next()
	}
	r.oldest = string(start) == "-"
	if r.high, open = rangeID(a, end, math.MaxUint64); open {
		if r.high == (EventID{}) {
			a.Fail(errStreamEnd)
			return
		}
		r.high = below(r.high)
	}
}

// rangeID reads one end, for which missing is the n that is not given.
func rangeID(a *resp.Args, sent []byte, missing uint64) (id EventID, open bool) {
	switch string(sent) {
	case "-":
		return EventID{}, false
	case "+":
		return lastEventID, false
	}
	if open = len(sent) > 0 && sent[0] == '('; open {
		sent = sent[1:]
	}
	id, ok := parseEventID(sent, missing)
	if !ok {
		a.Fail(errStreamID)
	}
	return id, open
}

// below is the greatest id below i, which must not be the first one.
func below(i EventID) EventID {
	if i.N == 0 {
		return EventID{i.Index - 1, math.MaxUint64}
	}
	return EventID{i.Index, i.N - 1}
}

func (r eventRange) print(w *resp.Writer, s Session) {
	var list []Event
	var err error
	switch {
	case r.high.less(r.low):
	case r.backward:
		list, err = r.readBackward(s)
	default:
		list, err = r.readForward(s)
	}
	if err != nil {
		streamError(w, err)
		return
	}
	printEvents(w, list)
}

// least is the id to read after.
func (r *eventRange) least(s Session) EventID {
	switch {
	case r.oldest:
		return s.OldestEvent()
	case r.low == EventID{}:
		return EventID{}
	}
	return below(r.low)
}

func (r *eventRange) readForward(s Session) ([]Event, error) {
	for {
		list, _, err := s.EventsAfter(r.path, r.least(s), r.count)
		if err != nil && r.oldest {
			continue // the oldest has just gone
		}
		for i := range list {
			if r.high.less(list[i].EventID) {
				return list[:i], err
			}
		}
		return list, err
	}
}

func (r *eventRange) readBackward(s Session) ([]Event, error) {
	from := lastEventID
	if r.high != lastEventID {
		from = r.high.next()
	}
	list := s.EventsBefore(r.path, from, r.count)
	for i := range list {
		if list[i].less(r.low) {
			return list[:i], nil
		}
	}
	if r.count > 0 && len(list) == r.count || r.oldest {
		return list, nil
	}
	if oldest := s.OldestEvent(); r.least(s).less(oldest) { // something may be missing at the end
		return nil, &CompactedError{Oldest: oldest}
	}
	return list, nil
}

var xlenCommand = Command{
	Name: "xlen", Arity: 2, Flags: ReadOnly | Fast,
	First: 1, Last: 1, Step: 1, Access: "RO",
	Group: "stream", Since: "5.0.0", Complexity: "O(1) for __events__, O(N) for N events else",
	Summary:    "Answers how many events of a stream this node has in its memory",
	Syntax:     "key",
	Categories: []string{"stream"},
	Differs:    "The streams are __events__ and __events__:path.",
	Plan:       planXlen,
}

func planXlen(a *resp.Args, _ Settings) (Plan, error) {
	path := eventPath(a, a.Bytes())
	return local(func(w *resp.Writer, s Session) { w.Int(int64(s.EventCount(path))) })
}

var xinfoCommand = Command{
	Name: "xinfo", Arity: -2,
	Group: "stream", Since: "5.0.0", Complexity: "Depends on the subcommand",
	Summary: "A container of commands about streams",
	Sub: []Command{
		helpOf("xinfo", "stream", "5.0.0", "stream"),
		{
			Name: "xinfo|stream", Arity: -3, Flags: ReadOnly,
			First: 2, Last: 2, Step: 1, Access: "RO access",
			Group: "stream", Since: "5.0.0", Complexity: "O(1) for __events__, O(N) for N events else",
			Summary:    "Describes a stream",
			Syntax:     "key",
			Categories: []string{"stream"},
			Differs: "The streams are __events__ and __events__:path. max-deleted-entry-id is the id after which nothing is missing. FULL " +
				"and what is about radix trees are left out.",
			Plan: planXinfoStream,
		},
	},
}

var errXinfo = resp.Errorf("ERR", "unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.")

func planXinfoStream(a *resp.Args, _ Settings) (Plan, error) {
	path := eventPath(a, a.Bytes())
	if a.More() {
		return Plan{}, errXinfo
	}
	return local(func(w *resp.Writer, s Session) {
		oldest := s.OldestEvent()
		first, _, err := s.EventsAfter(path, oldest, 1)
		last := s.EventsBefore(path, lastEventID, 1)
		if err != nil || len(last) == 0 {
			first, last = nil, nil // all is gone, or so new that it was not there a moment ago
		}
		w.Map(7)
		number(w, "length", s.EventCount(path))
		field(w, "last-generated-id", string(s.LastEvent().text(nil)))
		field(w, "max-deleted-entry-id", string(oldest.text(nil)))
		recorded := EventID{}
		if len(first) > 0 {
			recorded = first[0].EventID
		}
		field(w, "recorded-first-entry-id", string(recorded.text(nil)))
		number(w, "groups", 0)
		printEntry(w, "first-entry", first)
		printEntry(w, "last-entry", last)
	})
}

func printEntry(w *resp.Writer, name string, list []Event) {
	w.BulkString(name)
	if len(list) == 0 {
		w.Null()
		return
	}
	list[0].print(w)
}
