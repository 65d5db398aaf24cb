package operating

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dtkv/dtkv/tests/harness"
)

// Somebody reads the page on operating and does what it says, from the first command to the last, on a machine whose ports and
// addresses are those of the page.
func TestTheGuideToOperating(t *testing.T) {
	harness.NeedRedis(t)
	harness.Need(t, "ip", "openssl")
	if !harness.Isolated(t) {
		return
	}
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"addr", "add", "10.0.0.1/32", "dev", "lo"}} {
		harness.Output(t, "", "", "ip", args...)
	}
	g := open(t)
	g.leave("useradd", "TestTheUnit")
	g.leave("docker build", "TestTheImage")
	g.leave("kubectl create secret", "TestPods")
	g.cluster()
	g.databases()
	g.doors()
	g.saves()
	g.losesAQuorum()
	g.upgrades()
	if len(g.blocks) > 0 {
		t.Errorf("nobody has tried %q", g.blocks)
	}
}

// cluster forms a cluster of n1 to n3, and leaves one of n1, n2 and n5.
func (g *guide) cluster() {
	t := g.t
	g.follow("dtkv --node-id n1 --addr 127.0.0.1:7001 --data-dir d1 --http-addr \"\" --peers")
	g.well("7001", "3")
	g.want("7003", "+OK\r\n", "SET", "greeting", "hello")

	said := g.follow("dtkv status --addr 127.0.0.1:7002")
	for i, words := range [][]string{{": ok", "n1", "n2", "n3"}, nil, {"group 0: ok", "3 of 3 voters", "127.0.0.1:17002"}} {
		for _, word := range words {
			if !strings.Contains(said[i], word) {
				t.Errorf("to look says not %q: %q", word, said[i])
			}
		}
	}
	g.cured(said[1])
	harness.Eventually(t, "equal digests", func() bool { // the nodes are asked one after the other, and deadlines move the index
		blocks := slices.Clone(g.blocks)
		digests := g.follow("redis-cli -p 7001 DTKV.INDEX DIGEST")
		same := digests[0] != "" && digests[0] == digests[1] && digests[1] == digests[2]
		if !same {
			g.blocks = blocks
		}
		return same
	})

	g.follow("dtkv --node-id n4")
	g.well("7004", "4")
	g.want("7004", "$5\r\nhello\r\n", "GET", "greeting")

	g.follow("redis-cli -p 7001 DTKV.CLUSTER DEMOTE n4")
	g.well("7001", "4")
	harness.Eventually(t, "n2 to lead", func() bool { return strings.Contains(g.ask("7001", "INFO", "raft"), "raft_leader_id:n2\r\n") })

	n4 := g.nodes["127.0.0.1:7004"]
	g.follow("redis-cli -p 7001 DTKV.CLUSTER REMOVE n4")
	if code := n4.Wait(t); code != 1 || !strings.Contains(n4.Log(), "was removed from the cluster") {
		t.Errorf("the removed node ends with %d:\n%s", code, n4.Log())
	}
	g.well("7001", "3")

	g.nodes["127.0.0.1:7003"].Kill() // it is lost
	g.follow("redis-cli -p 7001 DTKV.CLUSTER REMOVE n3")
	g.well("7005", "3")

	if code := g.nodes["127.0.0.1:7001"].Stop(t); code != 0 {
		t.Errorf("SIGTERM ends a node with %d", code)
	}
	g.again("n1", "7001")
	g.well("7001", "3")
}

func (g *guide) databases() {
	said := g.follow("redis-cli -p 7001 DTKV.GROUP ADD 2")
	if list := said[5]; !regexp.MustCompile(`(?m)^3$`).MatchString(list) || !strings.Contains(list, "n5") {
		g.t.Errorf("DTKV.GROUP LIST does not show where database 3 is:\n%s", list)
	}
	g.want("7001", "-ERR DB index is out of range\r\n", "SELECT", "3")
}

// doors starts nodes alone that other machines can reach.
func (g *guide) doors() {
	t := g.t
	login := func(how string) {
		harness.Eventually(t, "a client with the password", func() bool {
			out, err := harness.TryOutput(g.dir, "", "sh", "-c", g.places.Replace(how))
			return err == nil && out == "PONG\n"
		})
	}
	node := func() *harness.Process { return g.nodes["10.0.0.1:6379"] }
	g.follow("openssl rand")
	login("REDISCLI_AUTH=$(cat /etc/dtkv/password) redis-cli -h 10.0.0.1 PING")
	if out := harness.Output(t, "", "", "redis-cli", "-h", "10.0.0.1", "PING"); !strings.HasPrefix(out, "NOAUTH ") {
		t.Errorf("without a password: %q", out)
	}
	node().Stop(t)

	g.certificates()
	b := g.blocks[0].commands
	g.blocks[0].commands = b[:1] // the second one asks the first, which takes a moment
	g.follow("dtkv --addr 10.0.0.1:6379 --requirepass-file")
	login(b[1])
	node().Stop(t)
}

// certificates puts those of a node, of a client and of their CA where the page has them.
func (g *guide) certificates() {
	ca := harness.NewCA(g.t)
	ca.Client(g.t, "client")
	cert, _ := ca.Node(g.t, "node")
	made, etc := filepath.Dir(cert), g.places.Replace("/etc/dtkv")
	for _, file := range []struct{ from, to string }{
		{cert, filepath.Join(etc, "node.crt")},
		{filepath.Join(made, "node.key"), filepath.Join(etc, "node.key")},
		{ca.File, filepath.Join(etc, "ca.crt")},
		{ca.File, filepath.Join(g.dir, "ca.crt")},
		{filepath.Join(made, "client.crt"), filepath.Join(g.dir, "client.crt")},
		{filepath.Join(made, "client.key"), filepath.Join(g.dir, "client.key")},
	} {
		data, err := os.ReadFile(file.from)
		if err == nil {
			err = os.WriteFile(file.to, data, 0o600)
		}
		if err != nil {
			g.t.Fatal(err)
		}
	}
}

// saves makes a new cluster of a backup of the old one, which has ended.
func (g *guide) saves() {
	t := g.t
	g.want("7001", "+Background saving started\r\n", "BGSAVE") // the page does so too, but looks for it at once
	harness.Eventually(t, "a snapshot at n1", func() bool {
		info := g.ask("7001", "INFO", "persistence")
		return strings.Contains(info, "rdb_saves:1\r\n") && strings.Contains(info, "rdb_bgsave_in_progress:0\r\n")
	})
	g.follow("dtkv inspect log")
	g.follow("dtkv backup --addr 127.0.0.1:7002")
	if said := g.follow("dtkv restore --check")[0]; !strings.Contains(said, "by node n2") || !strings.Contains(said, "group 2: ") || !strings.Contains(said, "whole: sum") {
		t.Errorf("the check says %q", said)
	}
	for _, port := range []string{"7001", "7002", "7005"} {
		if code := g.nodes["127.0.0.1:"+port].Stop(t); code != 0 {
			t.Errorf("the node at %s ends with %d", port, code)
		}
	}
	g.dir = t.TempDir() // on other machines
	g.follow("dtkv restore")
	g.well("7003", "3")
	g.want("7003", "$5\r\nhello\r\n", "GET", "greeting")
	g.want("7003", "+OK\r\n", "SELECT", "2")
}

// losesAQuorum goes on with n1 alone.
func (g *guide) losesAQuorum() {
	g.nodes["127.0.0.1:7002"].Kill()
	g.nodes["127.0.0.1:7003"].Kill()
	g.nodes["127.0.0.1:7001"].Stop(g.t)
	if said := g.follow("dtkv recover --data-dir d1")[0]; !strings.Contains(said, "index ") {
		g.t.Errorf("the survey says %q", said)
	}
	g.follow("dtkv recover --data-dir d1 --i-know-what-i-lose")
	g.follow("dtkv --node-id n1")
	g.want("7001", "$5\r\nhello\r\n", "GET", "greeting")
	g.follow("rm -r d2 d3")
	g.well("7001", "3")
	g.follow("rm -r d1.before-recover-1")
	g.follow("dtkv bench")
}

// upgrades restarts all nodes in turn; that they then run another release is the part of TestARollingUpgrade.
func (g *guide) upgrades() {
	t := g.t
	g.cured(g.follow("dtkv doctor --addr 127.0.0.1:7001")[0])
	renew := func(id string) {
		port := "700" + id[1:]
		if code := g.nodes["127.0.0.1:"+port].Stop(t); code != 0 {
			t.Errorf("%s ends with %d", id, code)
		}
		g.again(id, port)
		g.well(port, "3")
		g.want(port, "$5\r\nhello\r\n", "GET", "greeting")
	}
	g.want("7001", "+OK\r\n", "DTKV.CLUSTER", "TRANSFER", "n1")
	renew("n2")
	renew("n3")
	g.follow("redis-cli -p 7001 DTKV.CLUSTER TRANSFER n2")
	renew("n1")
	said, _ := harness.TryOutput(g.dir, "", "dtkv", "doctor", "--addr", "127.0.0.1:7001")
	g.cured(said)
}
