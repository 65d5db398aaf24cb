package watch

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// A subscriber that never reads costs what it is allowed to, nobody else anything, and is disconnected.
func TestASubscriberThatNeverReadsHarmsNobody(t *testing.T) {
	t.Parallel()
	const keys, perPipeline = 10_000, 500
	s := harness.Start(t, harness.Options{Sync: "os", More: []string{
		"--client-output-buffer-limit-pubsub", "1MiB", "--event-ring-bytes", "1MiB",
	}})
	c := harness.Dial(t, s.Addr)
	value := strings.Repeat("x", 1000)
	round := func(n int) {
		t.Helper()
		for from := 0; from < keys; from += perPipeline {
			var raw []byte
			for i := from; i < from+perPipeline; i++ {
				raw = append(raw, harness.Command("SET", fmt.Sprint("k", i), fmt.Sprint(n, " ", value))...)
			}
			if err := c.Send(raw); err != nil {
				t.Fatal(err)
			}
			for range perPipeline {
				if reply, err := c.Reply(); reply != "+OK\r\n" {
					t.Fatalf("SET: %q, %v", reply, err)
				}
			}
		}
	}
	deaf := harness.Dial(t, s.Addr)
	deaf.Want(t, "+OK\r\n", "CLIENT", "SETNAME", "deaf")
	for from := 0; from < keys; from += perPipeline {
		words := []string{"SUBSCRIBE"}
		for i := from; i < from+perPipeline; i++ {
			words = append(words, fmt.Sprint("__watch@0__:k", i))
		}
		if err := deaf.Send(harness.Command(words...)); err != nil {
			t.Fatal(err)
		}
	}
	port := harness.SplitPort(t, s.Addr)
	good := goRedis(3)(t, port, "__watch@0__:k7")
	list := func() string { return c.Must(t, "CLIENT", "LIST", "TYPE", "pubsub") }
	subscribed := regexp.MustCompile(`name=deaf .* sub=(\d+) `)
	harness.Eventually(t, "both subscribe", func() bool { // it may get stuck before the last one
		return subscribed.MatchString(list()) && strings.Contains(good(), "state")
	})
	round(0)
	const warm, rounds = 10, 40
	for n := 1; n <= warm; n++ {
		round(n)
	}
	t.Logf("%s channels", subscribed.FindStringSubmatch(list())[1])
	before, _, ok := s.Memory()
	if !ok {
		t.Log("the memory of a process cannot be seen here")
	}
	for n := warm + 1; n <= rounds; n++ {
		round(n)
	}
	after, _, _ := s.Memory()
	t.Logf("memory: %d MiB after %d rounds of %d changes, %d MiB after %d", before>>20, warm, keys, after>>20, rounds)
	if grown := after - before; grown > 100<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	harness.Eventually(t, "the last change is seen", func() bool {
		seen := changes(t, good())
		return strings.HasPrefix(seen[len(seen)-1].Value, fmt.Sprint(rounds, " "))
	})
	harness.Eventually(t, "the subscriber is disconnected", func() bool { return !strings.Contains(list(), "name=deaf") })
	if !strings.Contains(s.Log(), "a subscriber was disconnected") {
		t.Errorf("the log does not say so:\n%s", s.Log())
	}
}
