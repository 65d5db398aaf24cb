package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dtkv/dtkv/replica"
)

func TestOptionsReadBackWhatTheyWereGiven(t *testing.T) {
	tests := []struct{ name, value, back string }{
		{"addr", "127.0.0.1:7000", "127.0.0.1:7000"},
		{"http-addr", "", ""},
		{"peers", "n1=127.0.0.1:1, n2=127.0.0.1:2", "n1=127.0.0.1:1,n2=127.0.0.1:2"},
		{"join", "127.0.0.1:1, b:2", "127.0.0.1:1,b:2"},
		{"learner", "yes", "yes"},
		{"advertise", "a.example:17000", "a.example:17000"},
		{"requirepass", "secret", ""},
		{"requirepass-file", "/etc/dtkv/password", "/etc/dtkv/password"},
		{"allow-plaintext", "yes", "yes"},
		{"sync", "os", "os"},
		{"log-store", "bolt", "bolt"},
		{"max-value-size", "2mb", "2MiB"},
		{"max-value-size", "4096", "4KiB"},
		{"auto-mkdir", "yes", "yes"},
		{"auto-mkdir", "false", "no"},
		{"max-clients", "5", "5"},
		{"timeout", "300", "5m0s"},
		{"timeout", "1m", "1m0s"},
		{"snapshot-entries", "1000", "1000"},
		{"snapshot-bytes", "1GiB", "1GiB"},
		{"snapshot-interval", "10m", "10m0s"},
		{"log-level", "warn", "warn"},
	}
	for _, test := range tests {
		c := Default()
		if err := c.Set(test.name, test.value); err != nil {
			t.Errorf("%v", err)
			continue
		}
		if got, ok := c.Get(test.name); !ok || got != test.back {
			t.Errorf("%s %q reads back as %q, want %q", test.name, test.value, got, test.back)
		}
	}
}

func TestWrongOptionsAreRefusedByName(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"sync", "sometimes", "want always or os"},
		{"log-store", "", "want wal or bolt"},
		{"max-value-size", "12 parsecs", "want a size"},
		{"max-value-size", "1", "want a size from 1KiB to 32MiB"},
		{"max-value-size", "9223372036854775807kb", "want a size"},
		{"auto-mkdir", "maybe", "want yes or no"},
		{"max-clients", "0", "want a number from 1"},
		{"max-clients", "-1", "want a number from 1"},
		{"timeout", "soon", "want a duration"},
		{"timeout", "-1s", "want a duration"},
		{"snapshot-interval", "1ms", "at least 1s"},
		{"peers", "n1", "want id=host:port"},
		{"peers", "n1=here", "want host:port"},
		{"peers", "n1=a:1,n1=b:2", "named twice"},
		{"peers", "n@1=a:1", "want 1 to 64 letters"},
		{"join", "here", "want host:port"},
		{"join", "a:1,,b:2", "want host:port"},
		{"learner", "perhaps", "want yes or no"},
		{"log-level", "chatty", "want debug, info, warn or error"},
		{"colour", "red", "unknown option \"colour\""},
	}
	for _, test := range tests {
		c := Default()
		err := c.Set(test.name, test.value)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.name) {
			t.Errorf("%s %q: got %v, want %q", test.name, test.value, err, test.want)
		}
	}
}

func TestValidateChecksWhatNoSingleOptionKnows(t *testing.T) {
	one := []replica.Peer{{ID: "n1", Address: "127.0.0.1:1"}}
	tests := []struct {
		name   string
		change func(*Config)
		want   string // "" means valid
	}{
		{"the defaults", func(*Config) {}, ""},
		{"localhost", func(c *Config) { c.Addr = "localhost:6379" }, ""},
		{"IPv6 loopback", func(c *Config) { c.Addr = "[::1]:6379" }, ""},
		{"another loopback address", func(c *Config) { c.Addr = "127.0.0.2:6379" }, ""},
		{"a free port", func(c *Config) { c.Addr = "127.0.0.1:0" }, ""},
		{"all interfaces", func(c *Config) { c.Addr = ":6379" }, "set requirepass-file or requirepass"},
		{"all interfaces in words", func(c *Config) { c.Addr = "0.0.0.0:6379" }, "set requirepass-file or requirepass"},
		{"another machine's name", func(c *Config) { c.Addr = "example.com:6379" }, "set requirepass-file or requirepass"},
		{"plaintext without a password", func(c *Config) { c.Addr, c.AllowPlaintext = ":6379", true }, "set requirepass-file or requirepass"},
		{"a password in plaintext", func(c *Config) { c.Addr, c.RequirePass = ":6379", "x" }, "allow-plaintext"},
		{"a password in plaintext on purpose", func(c *Config) { c.Addr, c.RequirePass, c.AllowPlaintext = ":6379", "x", true }, ""},
		{"passwords from a file", func(c *Config) { c.Addr, c.RequirePassFile, c.AllowPlaintext = ":6379", "x", true }, ""},
		{"two places for passwords", func(c *Config) { c.RequirePass, c.RequirePassFile = "x", "y" }, "choose one of them"},
		{"a password on loopback", func(c *Config) { c.RequirePass = "x" }, ""},
		{"a peer address off loopback", func(c *Config) { c.PeerAddr = "10.0.0.1:1" }, "peer-addr"},
		{"a peer address off loopback on purpose", func(c *Config) { c.PeerAddr, c.AllowPlaintext = "10.0.0.1:1", true }, ""},
		{"health checks off loopback", func(c *Config) { c.HTTPAddr = "0.0.0.0:8379" }, "http-addr"},
		{"health checks off loopback on purpose", func(c *Config) { c.HTTPAddr, c.AllowPlaintext = "0.0.0.0:8379", true }, ""},
		{"joining from everywhere", func(c *Config) {
			c.PeerAddr, c.AllowPlaintext, c.Join, c.NodeID = ":16379", true, []string{"a:1"}, "n4"
		}, "join needs advertise"},
		{"health checks off", func(c *Config) { c.HTTPAddr = "" }, ""},
		{"no address", func(c *Config) { c.Addr = "" }, "want host:port"},
		{"no port", func(c *Config) { c.Addr = "127.0.0.1" }, "want host:port"},
		{"no number for a port", func(c *Config) { c.Addr = "127.0.0.1:redis" }, "the port must be a number"},
		{"no room for the peer port", func(c *Config) { c.Addr = "127.0.0.1:60000" }, "--peer-addr"},
		{"peers without an id", func(c *Config) { c.Peers = one }, "node-id"},
		{"peers without this node", func(c *Config) { c.Peers, c.NodeID = one, "n2" }, "not among the peers"},
		{"peers with this node", func(c *Config) { c.Peers, c.NodeID = one, "n1" }, ""},
		{"a node id that is none", func(c *Config) { c.NodeID = "n 1" }, "want 1 to 64 letters"},
		{"joining", func(c *Config) { c.Join, c.NodeID, c.Learner = []string{"a:1"}, "n4", true }, ""},
		{"joining without an id", func(c *Config) { c.Join = []string{"a:1"} }, "join needs node-id"},
		{"forming, and telling others where to join", func(c *Config) { c.Join, c.Peers, c.NodeID = []string{"a:1"}, one, "n1" }, ""},
		{"joining those who form", func(c *Config) { c.Join, c.Peers, c.NodeID, c.Learner = []string{"a:1"}, one, "n2", true }, ""},
		{"forming as a learner", func(c *Config) { c.Join, c.Peers, c.NodeID, c.Learner = []string{"a:1"}, one, "n1", true }, "learner is for nodes that join"},
		{"a learner of nothing", func(c *Config) { c.Learner = true }, "learner is for nodes that join"},
		{"an address for others", func(c *Config) { c.Advertise, c.AdvertiseAddr = "a.example:17000", "a.example:7000" }, ""},
		{"an address that nobody reaches", func(c *Config) { c.Advertise = "0.0.0.0:17000" }, "advertise"},
		{"another address than the peers say", func(c *Config) { c.Peers, c.NodeID, c.Advertise = one, "n1", "a:2" }, "peers that this node is at"},
		{"no data directory", func(c *Config) { c.DataDir = "" }, "data-dir"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := Default()
			test.change(&c)
			err := c.Validate()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestThePeerPortFollowsTheClientPort(t *testing.T) {
	for addr, want := range map[string]string{"127.0.0.1:6379": "127.0.0.1:16379", "[::1]:7000": "[::1]:17000", "127.0.0.1:0": "127.0.0.1:0"} {
		c := Default()
		c.Addr = addr
		if got, err := c.peerAddr(); got != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", addr, got, err, want)
		}
	}
}

func TestTheFileIsReadLineByLine(t *testing.T) {
	c := Default()
	err := c.SetFromFile("f", strings.NewReader(`
# a comment
addr 127.0.0.1:7000   # and one behind

  data-dir "/var/lib/my data"
	timeout	30
http-addr
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Addr != "127.0.0.1:7000" || c.DataDir != "/var/lib/my data" || c.Timeout != 30*time.Second || c.HTTPAddr != "" {
		t.Errorf("got %+v", c)
	}
}

func TestTheFilesErrorsNameTheLine(t *testing.T) {
	tests := []struct{ file, want string }{
		{"addr 127.0.0.1:7000\n\nport 7000\n", `dtkv.conf line 3: unknown option "port"`},
		{"sync never\n", `dtkv.conf line 1: sync "never": want always or os`},
		{"sync\n", `dtkv.conf line 1: sync "": want always or os`},
	}
	for _, test := range tests {
		c := Default()
		err := c.SetFromFile("dtkv.conf", strings.NewReader(test.file))
		if err == nil || err.Error() != test.want {
			t.Errorf("%q: got %v, want %s", test.file, err, test.want)
		}
	}
}

func TestTheEnvironmentSetsOptions(t *testing.T) {
	env := map[string]string{"DTKV_ADDR": "127.0.0.1:7000", "DTKV_MAX_VALUE_SIZE": "2MiB", "DTKV_SERVICE_HOST": "10.0.0.1"}
	c := Default()
	if err := c.SetFromEnv(func(name string) (string, bool) { v, ok := env[name]; return v, ok }); err != nil {
		t.Fatal(err)
	}
	if c.Addr != "127.0.0.1:7000" || c.MaxValueSize != 2<<20 {
		t.Errorf("got %+v", c)
	}
	env["DTKV_SYNC"] = "never"
	err := c.SetFromEnv(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err == nil || !strings.HasPrefix(err.Error(), `DTKV_SYNC "never"`) {
		t.Errorf("got %v", err)
	}
}

func TestEveryOptionIsInTheTable(t *testing.T) {
	table := OptionsTable()
	for _, o := range Options {
		if !strings.Contains(table, "`--"+o.Name+"`") || !strings.Contains(table, "`"+o.Env()+"`") {
			t.Errorf("%s is missing", o.Name)
		}
		c := Default()
		if def, _ := c.Get(o.Name); def != "" {
			if err := c.Set(o.Name, def); err != nil {
				t.Errorf("the default is no legal value: %v", err)
			}
		}
	}
}

// FuzzConfig: whatever is in a configuration file, it is taken or refused with its line, and never a panic.
func FuzzConfig(f *testing.F) {
	f.Add("addr 127.0.0.1:7000\n# x\nmax-value-size 9999999999999999999gb\npeers a=b:c,=\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := Default()
		err := c.SetFromFile("f", strings.NewReader(text))
		if err != nil && !strings.HasPrefix(err.Error(), "f") {
			t.Errorf("%v names no file", err)
		}
		_ = c.Validate()
	})
}

func TestOneConfigurationForAllNodes(t *testing.T) {
	for id, want := range map[string]string{"n1": "2 peers, 0 to join", "n3": "0 peers, 1 to join"} {
		c := Default()
		c.NodeID, c.Join = id, []string{"a:1"}
		c.Peers = []replica.Peer{{ID: "n1", Address: "a:1"}, {ID: "n2", Address: "b:1"}}
		rc, err := c.replica()
		if got := fmt.Sprintf("%d peers, %d to join", len(rc.Peers), len(rc.Join)); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", id, got, err, want)
		}
	}
}
