package commands

import (
	"slices"
	"testing"

	"github.com/dtkv/dtkv/resp"
)

func TestSubscribersOfRESP2AreAnsweredInMessages(t *testing.T) {
	runTranscripts(t, []transcript{
		{"a subscription is answered with its count", `
			> SUBSCRIBE a
			< *3
			< $9
			< subscribe
			< $1
			< a
			< :1
			> PSUBSCRIBE b*
			< *3
			< $10
			< psubscribe
			< $2
			< b*
			< :2
			> SSUBSCRIBE a
			< *3
			< $10
			< ssubscribe
			< $1
			< a
			< :1
			> PING
			< *2
			< $4
			< pong
			< $0
			<
			> PING hi
			< *2
			< $4
			< pong
			< $2
			< hi
			> PUBLISH a x
			< :1
			> SPUBLISH b x
			< :0
			> PUBSUB NUMSUB a b
			< *4
			< $1
			< a
			< :1
			< $1
			< b
			< :0
			> PUBSUB NUMPAT
			< :1
			> UNSUBSCRIBE
			< *3
			< $11
			< unsubscribe
			< $1
			< a
			< :1
			> UNSUBSCRIBE
			< *3
			< $11
			< unsubscribe
			< $-1
			< :1`},
		{"RESP3 has pushes, and PING is as ever", `
			@ resp3
			> SUBSCRIBE a
			< >3
			< $9
			< subscribe
			< $1
			< a
			< :1
			> PING
			< +PONG
			> SUNSUBSCRIBE
			< >3
			< $12
			< sunsubscribe
			< _
			< :0`},
	})
}

func TestMessages(t *testing.T) {
	tests := []struct {
		space Space
		proto int
		want  string
	}{
		{ChannelSpace, 2, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"},
		{ChannelSpace, 3, ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"},
		{PatternSpace, 2, "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$2\r\nhi\r\n"},
		{ShardSpace, 3, ">3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"},
	}
	for _, test := range tests {
		w := resp.Writer{Proto: test.proto}
		PrintMessage(&w, test.space, "*", "c", []byte("hi"))
		if string(w.Buf) != test.want {
			t.Errorf("space %d, RESP%d: %q", test.space, test.proto, w.Buf)
		}
	}
}

// The list is Redis's: a client library that is subscribed counts on each of them.
func TestSubscribersMaySayLittle(t *testing.T) {
	want := []string{
		"ping", "psubscribe", "punsubscribe", "quit", "reset", "ssubscribe", "subscribe", "sunsubscribe", "unsubscribe",
	}
	var got []string
	every(func(c, _ *Command) {
		if c.Flags.Has(WhileSubscribed) {
			got = append(got, c.Name)
		}
	})
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	get, _ := Lookup([]byte("get"))
	if err := ErrSubscriber(get); err.Error() != "ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "+
		"are allowed in this context" {
		t.Error(err)
	}
}
