package commands

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/resp"
)

// Whatever a client sends, a plan is either made or refused with a reply that a client can parse, and what is made can be
// encoded, decoded, applied and answered. A panic here would take down a node.
func FuzzPlan(f *testing.F) {
	for _, line := range []string{
		"SET k v NX GET", "SET k v PX 9223372036854775807", "SET a.b v IFDEQ 0123456789abcdef", "GET k", "MSET a 1 b 2", "INCRBYFLOAT k 1e400",
		"SETRANGE k 9223372036854775807 x", "DECRBY k -9223372036854775808", "GETRANGE k -1 -9223372036854775808", "DEL a b d", "RENAME d e",
		"COPY a b DB 0 REPLACE", "SCAN 0 MATCH [^a-z]*\\ COUNT 5 TYPE dir", "KEYS d.*", "CLIENT KILL ID 7 SKIPME no", "CLIENT LIST ID 1 2",
		"COMMAND GETKEYS mset a 1", "COMMAND DOCS", "CONFIG SET timeout 1", "HELLO 3 AUTH default x SETNAME y", "DTKV.LIST  AFTER a LIMIT 1",
		"DTKV.CAS k  v", "DTKV.BATCHPUT a 1 .b 2", "DTKV.BATCHREMOVE a ..", "DTKV.MKDIR d.e.f PARENTS", "DTKV.RMDIR d RECURSIVE", "OBJECT ENCODING k",
		"SET k v KEEPTTL GET", "SETEX k 9223372036854775 v", "GETEX k PXAT 1", "MSETEX 2 a 1 d.k 2 EX 5 NX", "EXPIRE k -9223372036854775 LT XX",
		"PEXPIREAT k -9223372036854775808", "PEXPIRETIME k", "PERSIST k", "DTKV.OWNER me", "DTKV.PUTTEMP t 9223372036854775807 v OWNER me",
		"DTKV.MKDIR e PX 5 OWNER me PARENTS", "DTKV.UPDATETTL k 5", "DTKV.REMOVE d.k OWNER me", "DTKV.LOCK l 5 WAIT 6 OWNER me",
		"DTKV.UNLOCK l", "DTKV.RENEW l 7", "DTKV.LOCKINFO l", "WATCH k", "CLIENT REPLY SKIP", "WAITAOF 1 0 0", "DELEX k IFNE x", "PING\r\nx", "DTKV.STAT ",
		"SUBSCRIBE a b", "UNSUBSCRIBE", "PUBLISH a b", "PUBSUB CHANNELS [a", "PUBSUB NUMSUB a b", "XREAD COUNT 2 BLOCK 1 STREAMS __events__ __events__:k 0 $",
		"XRANGE __events__ (1-1 18446744073709551615-18446744073709551615 COUNT 1", "XREVRANGE __events__:d + -", "XLEN __events__", "XINFO STREAM __events__",
	} {
		f.Add([]byte(strings.ReplaceAll(line, " ", "\x00")), false)
		f.Add([]byte(strings.ReplaceAll(strings.ToLower(line), " ", "\x00")), true)
	}
	f.Fuzz(func(t *testing.T, line []byte, resp3 bool) {
		argv := bytes.Split(line, []byte{0})
		proto := 2
		if resp3 {
			proto = 3
		}
		r := newRig(t, proto)
		r.do("DTKV.MKDIR", "d")
		r.do("MSET", "k", "10", "a", "x", "d.k", "v")
		r.w.Buf = nil

		cmd, plan, err := Prepare(argv, r.settings)
		var refusal *resp.Error
		if err != nil && !errors.As(err, &refusal) {
			t.Fatalf("%q is refused with %v, which is no reply", argv, err)
		}
		if err == nil && cmd == nil {
			t.Fatalf("%q is planned by no command", argv)
		}
		r.run(argv)
		silent := cmd != nil && cmd.Name == "client|reply" && len(r.w.Buf) == 0
		replies := 1
		if plan.Kind == Subscribe {
			replies = max(1, len(plan.Sub.Names))
		}
		rest := r.w.Buf
		for range replies - 1 {
			if rest, err = skipReply(rest); err != nil {
				t.Fatalf("%q replied %q: %v", argv, r.w.Buf, err)
			}
		}
		if rest, err := skipReply(rest); !silent && (err != nil || len(rest) > 0) {
			t.Fatalf("%q replied %q, which is not one reply: %v", argv, r.w.Buf, err)
		}
		writes := plan.Kind == Write || plan.Kind == Await && plan.Op != nil
		if cmd != nil && err == nil && writes != cmd.Flags.Has(Writes) && !(cmd.Name == "getex" && len(argv) == 2) {
			t.Fatalf("%s has plan kind %d, against its flags", cmd.Name, plan.Kind)
		}
	})
}

// argvOf splits a line at spaces.
func argvOf(line string) [][]byte {
	var argv [][]byte
	for _, word := range strings.Fields(line) {
		argv = append(argv, []byte(word))
	}
	return argv
}

// A plan of the hot path costs one allocation, for its operation or its closure.
func TestHotPlansAllocateLittle(t *testing.T) {
	for _, test := range []struct {
		line string
		most float64
	}{
		{"SET key:000000001234 value", 1},
		{"GET key:000000001234", 1},
		{"MGET a b c", 1},
		{"INCR n", 1},
		{"PING", 0},
		{"SET key:000000001234 value PX 100", 1},
		{"PTTL key:000000001234", 1},
		{"DTKV.LOCK l 1000", 1},
	} {
		argv := argvOf(test.line)
		var p Planner
		s := Settings{MaxValue: 1 << 20}
		if n := testing.AllocsPerRun(100, func() { p.Prepare(argv, s) }); n > test.most {
			t.Errorf("%s: %v allocations, at most %v wanted", test.line, n, test.most)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, name := range []string{"GET", "set", "INCRBYFLOAT", "DTKV.BATCHREMOVE"} {
		b.Run(name, func(b *testing.B) {
			raw := []byte(name)
			for b.Loop() {
				Lookup(raw)
			}
		})
	}
}

func BenchmarkPrepare(b *testing.B) {
	for _, line := range []string{
		"SET key:000000001234 " + strings.Repeat("x", 256), "GET key:000000001234", "MGET a b c d", "INCR counter", "PING",
		"SET k v IFEQ x GET",
	} {
		b.Run(strings.Fields(line)[0], func(b *testing.B) {
			argv, s := argvOf(line), Settings{MaxValue: 1 << 20}
			var p Planner
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := p.Prepare(argv, s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGlob(b *testing.B) {
	g, err := compileGlob([]byte("service.*.node-[0-9]*"), false)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !g.matches("service.payments.eu.node-17") {
			b.Fatal("no match")
		}
	}
}
