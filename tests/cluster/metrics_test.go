package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/tests/harness"
)

// scrape returns what /metrics of a node says, and the names in it.
func scrape(t *testing.T, s *harness.Server) (text string, names map[string]bool) {
	t.Helper()
	client := http.Client{Timeout: harness.Patience}
	reply, err := client.Get("http://" + s.HTTPAddr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %d, %v: %s", reply.StatusCode, err, body)
	}
	names = map[string]bool{}
	for line := range strings.Lines(string(body)) {
		if !strings.HasPrefix(line, "#") {
			names[line[:strings.IndexAny(line, "{ ")]] = true
		}
	}
	return string(body), names
}

// observed starts three nodes with HTTP addresses, and has them do some of everything.
func observed(t *testing.T) *harness.Cluster {
	t.Helper()
	c := harness.StartCluster(t, 3, harness.Options{SnapshotEntries: 20, HTTPAddr: "127.0.0.1:0"})
	for _, s := range c.Servers {
		conn := harness.Dial(t, s.Addr)
		for i := range 30 {
			conn.Must(t, "SET", "k"+strconv.Itoa(i), "v")
		}
		conn.Must(t, "GET", "k1")
		conn.Must(t, "GET")
		conn.Must(t, "DTKV.LOCK", "l", "60000")
		conn.Must(t, "SET", "gone", "v", "PX", "1")
	}
	return c
}

// What the dashboard and the alerts ask for is what a real node tells, and so is what the documentation lists.
func TestDashboardAndAlertsNameRealMetrics(t *testing.T) {
	c := observed(t)
	names, text := map[string]bool{"up": true}, map[*harness.Server]string{}
	c.Eventually("snapshots on all nodes", func() bool {
		for _, s := range c.Servers {
			page, found := scrape(t, s)
			text[s] = page
			for name := range found {
				names[name] = true
			}
			if !strings.Contains(page, `dtkv_group_snapshot_duration_seconds_count{group="0"} `) || strings.Contains(page, `dtkv_group_snapshot_duration_seconds_count{group="0"} 0`) {
				return false
			}
		}
		return true
	})
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	read := func(path ...string) string {
		data, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	dashboard, rules := read("deploy", "grafana", "dtkv.json"), read("deploy", "prometheus", "dtkv.rules.yml")
	if !json.Valid([]byte(dashboard)) {
		t.Error("the dashboard is no JSON")
	}
	asked := regexp.MustCompile(`\b(?:dtkv|go|process)_[a-z0-9_]+`)
	for where, text := range map[string]string{"the dashboard": dashboard, "the alerts": rules} {
		used := asked.FindAllString(text, -1)
		if len(used) < 10 {
			t.Errorf("%s asks for %d metrics", where, len(used))
		}
		slices.Sort(used)
		for _, name := range slices.Compact(used) {
			if !names[name] {
				t.Errorf("%s asks for %s, which no node tells", where, name)
			}
		}
	}
	described := regexp.MustCompile("(?m)^\\| `(dtkv_[a-z_]+)` \\| ([a-z]+) \\|")
	listed := map[string]bool{}
	for _, m := range described.FindAllStringSubmatch(read("docs", "operating.md"), -1) {
		name := m[1]
		if listed[name] = true; m[2] == "histogram" {
			listed[name+"_bucket"], listed[name+"_sum"], listed[name+"_count"] = true, true, true
			name += "_count"
		}
		if !names[name] {
			t.Errorf("docs/operating.md lists %s, which no node tells", name)
		}
	}
	for name := range names {
		if strings.HasPrefix(name, "dtkv_") && !listed[name] {
			t.Errorf("docs/operating.md does not list %s", name)
		}
	}
	checkValues(t, c, text)
}

func checkValues(t *testing.T, c *harness.Cluster, text map[*harness.Server]string) {
	t.Helper()
	leader := c.Leader()
	for s, page := range text {
		wanted := []string{
			`dtkv_group_members{group="0",kind="voter"} 3`, `dtkv_group_has_leader{group="0"} 1`, `dtkv_group_locks{group="0"} 1`,
			`dtkv_command_duration_seconds_count{command="set"} 31`, `dtkv_command_errors_total{command="get",kind="rejected"} 1`,
			`dtkv_error_replies_total{prefix="ERR"} 1`, fmt.Sprintf(`node="%s"`, c.Node(s)),
		}
		if s == leader {
			wanted = append(wanted, `dtkv_group_leading{group="0"} 1`, `dtkv_group_follower_silence_seconds{group="0",node="`+c.Node(c.Follower())+`"}`)
		}
		for _, want := range wanted {
			if !strings.Contains(page, want) {
				t.Errorf("%s does not tell %s", c.Node(s), want)
			}
		}
		if t.Failed() {
			t.Logf("%s:\n%s", c.Node(s), page)
			return
		}
	}
}

// Each rule has what an alert needs.
func TestAlertsAreComplete(t *testing.T) {
	root, err := harness.Root()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "deploy", "prometheus", "dtkv.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	rules := strings.Split(string(data), "      - alert: ")[1:]
	if len(rules) < 10 {
		t.Fatalf("%d alerts", len(rules))
	}
	for _, rule := range rules {
		name, rest, _ := strings.Cut(rule, "\n")
		for _, need := range []string{"expr: ", "for: ", "labels: {severity: ", "summary: \"", "description: \""} {
			if !strings.Contains(rest, "        "+need) && !strings.Contains(rest, "          "+need) {
				t.Errorf("%s has no %s", name, need)
			}
		}
		_, pause, _ := strings.Cut(rest, "for: ")
		pause, _, _ = strings.Cut(pause, "\n")
		if _, err := time.ParseDuration(pause); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if open, closed := strings.Count(rest, "("), strings.Count(rest, ")"); open != closed {
			t.Errorf("%s has %d opening and %d closing parentheses", name, open, closed)
		}
	}
}
