package commands

import (
	"strings"
	"testing"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// ids turns the printed entries of XRANGE into their ids, which is what most rules are about.
func ids(t *testing.T, r *rig, line string) string {
	t.Helper()
	reply := r.do(words(t, line)...)
	if reply[0] == '-' {
		return strings.TrimSuffix(reply[1:], "\r\n")
	}
	var list []string
	for word := range strings.SplitSeq(reply, "\r\n") {
		if a, b, ok := strings.Cut(word, "-"); ok && a != "" && b != "" && strings.Trim(a+b, "0123456789") == "" {
			list = append(list, word)
		}
	}
	return strings.Join(list, " ")
}

func TestRangesOfEvents(t *testing.T) {
	r := newRig(t, 2)
	for _, line := range []string{"DTKV.MKDIR d", "SET d.a 1", "MSET x 1 d.b 2 y 3", "DEL x"} { // entries 1 to 4
		r.do(words(t, line)...)
	}
	tests := []struct{ line, want string }{
		{"XRANGE __events__ - +", "1-1 2-1 3-1 3-2 3-3 4-1"},
		{"XRANGE __events__:d - +", "1-1 2-1 3-2"},
		{"XRANGE __events__:d.a - +", "2-1"},
		{"XRANGE __events__ 3 3", "3-1 3-2 3-3"},
		{"XRANGE __events__ 3-2 3-2", "3-2"},
		{"XRANGE __events__ (3-1 (3-3", "3-2"},
		{"XRANGE __events__ (2-1 (3-0", ""},
		{"XRANGE __events__ 0 0", ""},
		{"XRANGE __events__ 0 + COUNT 2", "1-1 2-1"},
		{"XRANGE __events__ 4 3", ""},
		{"XREVRANGE __events__ + -", "4-1 3-3 3-2 3-1 2-1 1-1"},
		{"XREVRANGE __events__:d + - COUNT 2", "3-2 2-1"},
		{"XREVRANGE __events__ (3-3 2", "3-2 3-1 2-1"},
		{"XREVRANGE __events__ 18446744073709551615-18446744073709551615 4", "4-1"},
		{"XREAD COUNT 2 STREAMS __events__ 2-1", "3-1 3-2"},
		{"XREAD STREAMS __events__:d __events__:x 2 3-1", "2-1 3-2 4-1"},
		{"XREAD STREAMS __events__ +", "4-1"},
		{"XREAD STREAMS __events__:d -", "1-1 2-1 3-2"},
		{"XREAD STREAMS __events__ $", ""},
	}
	for _, test := range tests {
		if got := ids(t, r, test.line); got != test.want {
			t.Errorf("%s: %s, want %s", test.line, got, test.want)
		}
	}
}

func TestWhatIsGoneIsNeverPassedOver(t *testing.T) {
	r := newRig(t, 2)
	for range 5 {
		r.do("SET", "k", "v")
	}
	r.session.oldest = EventID{3, 0} // 1 and 2 are gone
	const gone = "COMPACTED oldest is 3-0"
	tests := []struct{ line, want string }{
		{"XREAD STREAMS __events__ 0", gone},
		{"XREAD STREAMS __events__ 2-1", gone},
		{"XREAD STREAMS __events__ 3-0", "3-1 4-1 5-1"},
		{"XREAD STREAMS __events__:k __events__ 3 1", gone},
		{"XREAD STREAMS __events__ -", "3-1 4-1 5-1"},
		{"XRANGE __events__ - +", "3-1 4-1 5-1"},
		{"XRANGE __events__ 1 +", gone},
		{"XRANGE __events__ 4 +", "4-1 5-1"},
		{"XREVRANGE __events__ + -", "5-1 4-1 3-1"},
		{"XREVRANGE __events__ + 1", gone},
		{"XREVRANGE __events__ + 1 COUNT 2", "5-1 4-1"},
		{"XREVRANGE __events__ + 4", "5-1 4-1"},
		{"XREVRANGE __events__ + 3-1", "5-1 4-1 3-1"},
	}
	for _, test := range tests {
		if got := ids(t, r, test.line); got != test.want {
			t.Errorf("%s: %s, want %s", test.line, got, test.want)
		}
	}
}

func TestAReplyOfXreadIsBounded(t *testing.T) {
	big := &fsm.Node{Kind: fsm.Value, Value: strings.Repeat("x", 1<<20)}
	small := &fsm.Node{Kind: fsm.Value, Value: "x"}
	tests := []struct {
		name string
		node *fsm.Node
		n    int
		want int
	}{
		{"few small ones", small, 10, 10},
		{"many small ones", small, maxEvents + 5, maxEvents},
		{"large ones", big, 40, maxEventBytes >> 20},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, 3)
			for i := range test.n {
				r.session.events = append(r.session.events, Event{EventID{uint64(i + 1), 1}, fsm.Event{What: fsm.EventSet, Node: test.node}})
			}
			reply := r.do("XREAD", "STREAMS", "__events__", "0")
			if got := strings.Count(reply, "$5\r\nevent\r\n"); got != test.want {
				t.Errorf("%d events, want %d", got, test.want)
			}
		})
	}
}

func TestEventsInBothProtocols(t *testing.T) {
	runTranscripts(t, []transcript{
		{"fields follow what there is to tell", `
			> SET k v
			< +OK
			> DTKV.LOCK l 1000 OWNER a
			< :1
			> DEL k
			< :1
			> XREAD STREAMS __events__ 0
			< *1
			< *2
			< $10
			< __events__
			< *3
			< *2
			< $3
			< 1-1
			< *8
			< $5
			< event
			< $3
			< set
			< $3
			< key
			< $1
			< k
			< $4
			< kind
			< $5
			< value
			< $5
			< value
			< $1
			< v
			< *2
			< $3
			< 2-1
			< *8
			< $5
			< event
			< $4
			< lock
			< $3
			< key
			< $1
			< l
			< $4
			< kind
			< $4
			< lock
			< $5
			< token
			< $1
			< 1
			< *2
			< $3
			< 3-1
			< *6
			< $5
			< event
			< $3
			< del
			< $3
			< key
			< $1
			< k
			< $4
			< kind
			< $4
			< none`},
		{"RESP3 has a map of streams", `
			@ resp3
			> SET k v
			< +OK
			> XREAD COUNT 1 STREAMS __events__:k 0
			< %1
			< $12
			< __events__:k
			< *1
			< *2
			< $3
			< 1-1
			< *8
			< $5
			< event
			< $3
			< set
			< $3
			< key
			< $1
			< k
			< $4
			< kind
			< $5
			< value
			< $5
			< value
			< $1
			< v
			> XREAD STREAMS __events__ $
			< _
			> XRANGE __events__ - + COUNT 0
			< _`},
		{"wrong names and ids are refused", `
			> XLEN k
			< -ERR no such stream: there are __events__, and __events__: followed by a path
			> XLEN __events__:.a
			< -BADKEY a key is 1 to 8192 bytes, without leading, trailing or doubled dots
			> XREAD STREAMS __events__ 1-2-3
			< -ERR Invalid stream ID specified as stream command argument
			> XREAD BLOCK 4398046511105 STREAMS __events__ 0
			< -ERR timeout is not an integer or out of range`},
	})
}

// What a connection waits for outlives the buffer that its name was read from.
func TestStreamsKeepTheirNames(t *testing.T) {
	r := newRig(t, 2)
	argv := [][]byte{[]byte("XREAD"), []byte("BLOCK"), []byte("0"), []byte("STREAMS"), []byte("__events__:k"), []byte("$")}
	_, plan, err := Prepare(argv, r.settings)
	if err != nil || plan.Kind != Await {
		t.Fatal(plan.Kind, err)
	}
	streams := plan.Await.Streams
	w := &resp.Writer{}
	if streams.Print(w, &r.session) {
		t.Fatalf("there was something: %q", w.Buf)
	}
	streams.Keep()
	copy(argv[4], "overwritten!")
	r.do("SET", "k", "v")
	if !streams.Print(w, &r.session) || !strings.Contains(string(w.Buf), "$12\r\n__events__:k\r\n") {
		t.Errorf("it prints %q", w.Buf)
	}
}
