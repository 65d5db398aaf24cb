package main

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// finding is something that is wrong, and what to do about it.
type finding struct{ what, todo string }

// diagnosis gathers findings.
type diagnosis struct {
	*picture
	limits
	found []finding
}

func (d *diagnosis) note(todo, what string, args ...any) {
	d.found = append(d.found, finding{fmt.Sprintf(what, args...), todo})
}

// diagnose looks for everything that the doctor knows, the worst first.
func (s *picture) diagnose(l limits) []finding {
	d := &diagnosis{picture: s, limits: l}
	d.leaders()
	d.reachable()
	d.addresses()
	d.lags()
	d.disks()
	d.clocks()
	d.files()
	d.voters()
	d.releases()
	return d.found
}

// leaders finds groups that nobody leads.
func (d *diagnosis) leaders() {
	for i := range d.groups {
		g := &d.groups[i]
		switch {
		case g.record["state"] == "opening":
			d.note("wait a moment; if it stays so, look at the logs of the nodes that are to hold it", "group %d is being opened", g.id)
		case g.record["leader"] != "":
		case g.id == 0:
			d.note("start the nodes that do not answer, and look at the network between them: more than half of the voters must reach "+
				"one another. If they are lost for good: dtkv recover", "group 0 has no leader: nothing can be written%s", d.silentVoters(g))
		default:
			d.note("start the nodes that hold it, or give the group up: DTKV.GROUP REMOVE "+strconv.Itoa(g.id), "group %d has no leader%s", g.id, d.silentVoters(g))
		}
	}
	for i := range d.nodes {
		n := &d.nodes[i]
		if n.answered && n.info["raft_leader_id"] == "" && d.groups[0].record["leader"] != "" {
			d.note("look at the network between it and the others, both ways", "%s knows no leader, though others do: its clients are answered with CLUSTERDOWN", n.name())
		}
	}
}

// silentVoters names the voters of a group that do not answer.
func (d *diagnosis) silentVoters(g *groupView) string {
	var list []string
	for _, m := range g.members {
		if m["role"] != "learner" && m["state"] != "up" {
			list = append(list, m["id"])
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "; " + strings.Join(list, ", ") + " do not answer"
}

// reachable finds nodes that others do not reach.
func (d *diagnosis) reachable() {
	for i := range d.nodes {
		n := &d.nodes[i]
		up := n.record["state"] == "up"
		switch {
		case !up && !n.answered:
			d.note("start it, or look at its machine and network. If it is lost: DTKV.CLUSTER REMOVE "+n.name()+", and let a new one join under a new id",
				"%s does not answer, neither other nodes at %s nor clients (%v)", n.name(), n.record["address"], n.err)
		case !up:
			d.note("look whether that is its address (--advertise tells others another one), and whether a firewall is between them",
				"%s answers clients, but %s does not reach it at %s", n.name(), d.asking(), n.record["address"])
		}
	}
	for i := range d.nodes {
		a := &d.nodes[i]
		for _, b := range a.sees {
			if n := d.node(b["id"]); n != nil && b["state"] != "up" && n.record["state"] == "up" && n != a {
				d.note("look at the network and the firewalls from "+a.name()+" to "+b["id"], "%s does not reach %s at %s, though others do", a.name(), b["id"], b["address"])
			}
		}
	}
}

// asking is the name of the node that was asked first.
func (d *diagnosis) asking() string {
	for i := range d.nodes {
		if n := &d.nodes[i]; n.asked {
			return n.name()
		}
	}
	return "the node at " + d.asked
}

func (d *diagnosis) node(id string) *nodeView {
	for i := range d.nodes {
		if d.nodes[i].name() == id {
			return &d.nodes[i]
		}
	}
	return nil
}

// addresses finds nodes that say they are where they are not.
func (d *diagnosis) addresses() {
	const todo = "start it with --advertise-addr, the address at which clients reach it"
	peers, clients := map[string]string{}, map[string]string{}
	far := slices.ContainsFunc(d.nodes, func(n nodeView) bool { return !loopback(n.record["address"]) })
	for i := range d.nodes {
		n := &d.nodes[i]
		client, peer := n.record["client"], n.record["address"]
		switch {
		case n.record["state"] == "up" && !n.answered:
			d.note(todo, "%s runs, but not at %s, where it says that clients reach it (%v)", n.name(), dash(client), n.err)
		case n.announced != nil:
			d.note(todo, "%s says that clients reach it at %s, and there %v", n.name(), client, n.announced)
		case n.answered && n.info["raft_node_id"] != n.name():
			d.note(todo, "%s says that clients reach it at %s, and there answers %s", n.name(), client, n.info["raft_node_id"])
		case n.answered && n.info["raft_cluster_id"] != d.cluster:
			d.note(todo, "%s says that clients reach it at %s, and there answers a node of another cluster (%s)", n.name(), client, n.info["raft_cluster_id"])
		}
		if far && loopback(peer) {
			d.note("start it with --advertise, an address at which the others reach it", "%s tells the others that it is at %s, which only its own machine reaches", n.name(), peer)
		}
		if other, twice := peers[peer]; twice {
			d.note("start one of them with its own address", "%s and %s are both said to be at %s", other, n.name(), peer)
		}
		if other, twice := clients[client]; twice && client != "" {
			d.note(todo, "%s and %s both tell clients that they are at %s", other, n.name(), client)
		}
		peers[peer], clients[client] = n.name(), n.name()
	}
}

func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// lags finds members that lack much.
func (d *diagnosis) lags() {
	for i := range d.groups {
		g := &d.groups[i]
		last := g.last()
		for _, m := range g.members {
			if lacks := last - m.number("last-index"); m["state"] == "up" && lacks > d.lag {
				d.note("wait, if it has just joined or started. Else look at its disk and its network. A voter that lags does not help when another one is lost",
					"%s (%s) lacks %d entries of group %d", m["id"], m["role"], lacks, g.id)
			}
		}
	}
	for i := range d.nodes {
		n := &d.nodes[i]
		if behind := n.info.number("raft_commit_index") - n.info.number("raft_applied_index"); n.answered && behind > d.lag {
			d.note("look at its processors: does it get the time it needs?", "%s has %d entries that it has not applied", n.name(), behind)
		}
	}
}

// disks finds slow and full ones.
func (d *diagnosis) disks() {
	for i := range d.nodes {
		n := &d.nodes[i]
		if !n.answered {
			continue
		}
		fsync := time.Duration(n.info.part("raft_log_write_usec", "p99")) * time.Microsecond
		if fsync > d.fsync {
			d.note("give the data directory a disk of its own, or a faster one; LATENCY HISTORY aof-fsync-always shows when",
				"the disk of %s is slow: one write to the log in a hundred takes %s or longer", n.name(), fsync)
		}
		free, whole := n.info.number("disk_free_bytes"), n.info.number("disk_size_bytes")
		if whole > 0 && free*100 < whole*d.disk {
			d.note("make room: a node that cannot write its log stops. A snapshot needs as much as the data once more",
				"the disk of %s is nearly full: %s of %s are left", n.name(), size(free), size(whole))
		}
	}
}

// clocks finds those that differ. A node's own clock counts for what is given as an absolute time.
func (d *diagnosis) clocks() {
	var told []*nodeView
	for i := range d.nodes {
		if d.nodes[i].answered {
			told = append(told, &d.nodes[i])
		}
	}
	slices.SortFunc(told, func(a, b *nodeView) int { return cmp.Compare(a.ahead, b.ahead) })
	if len(told) < 2 {
		return
	}
	first, last := told[0], told[len(told)-1]
	if apart := last.ahead - first.ahead - (first.took+last.took)/2; apart > d.clock {
		d.note("have both follow a time server (chrony, systemd-timesyncd). Leases and times to live do not depend on it; EXPIREAT, PXAT and the "+
			"times in logs do", "the clocks of %s and %s are %s apart; %s is ahead", first.name(), last.name(), apart.Round(time.Millisecond), last.name())
	}
}

// files finds nodes that may open few files.
func (d *diagnosis) files() {
	for i := range d.nodes {
		n := &d.nodes[i]
		if !n.answered {
			continue
		}
		may, want := n.info.number("maxclients"), n.config.number("max-clients")
		switch limit := n.info.number("maxfiles"); {
		case limit > 0 && limit < d.openFiles:
			d.note("raise it: ulimit -n 65536, or LimitNOFILE=65536 in the unit of systemd", "%s may open only %d files and sockets", n.name(), limit)
		case may < want:
			d.note("raise the limit of open files (ulimit -n, LimitNOFILE), or set max-clients to what is wanted",
				"%s takes %d clients, though max-clients is %d", n.name(), may, want)
		}
	}
}

// voters finds groups that bear fewer losses than their nodes could.
func (d *diagnosis) voters() {
	for i := range d.groups {
		g := &d.groups[i]
		voters, up := 0, 0
		for _, m := range g.members {
			if m["role"] != "learner" {
				if voters++; m["state"] == "up" {
					up++
				}
			}
		}
		need := voters/2 + 1
		if voters > 1 && voters%2 == 0 {
			d.note("add a voter (start one more node with --join), or take one vote away (DTKV.CLUSTER DEMOTE)",
				"group %d has %d voters: it bears the loss of %d, no more than with %d", g.id, voters, voters-need, voters-1)
		}
		if up == need && up < voters {
			d.note("bring the others back, or replace them, before anything else is done", "group %d bears no further loss: %d of its %d voters answer", g.id, up, voters)
		}
	}
}

// releases finds nodes that run different ones, and tells in which order to go on.
func (d *diagnosis) releases() {
	newest := ""
	var order []string
	for _, n := range d.nodes {
		if v := n.record["version"]; v != "" && (newest == "" || laterRelease(v, newest)) {
			newest = v
		}
	}
	for _, role := range []string{"learner", "voter", "leader"} {
		for _, n := range d.nodes {
			if v := n.record["version"]; n.record["role"] == role && v != "" && v != newest {
				order = append(order, fmt.Sprintf("%s (%s, %s)", n.name(), role, v))
			}
		}
	}
	if len(order) > 0 {
		d.note("finish the upgrade: one node after the other, in this order, each when dtkv status says ok again: "+strings.Join(order, ", "),
			"nodes run different releases; the newest is %s", newest)
	}
}

// laterRelease compares releases such as 0.10.2 and 0.9.0-dev. What has a word behind it comes before what has none.
func laterRelease(a, b string) bool {
	a, aWord, _ := strings.Cut(strings.TrimPrefix(a, "v"), "-")
	b, bWord, _ := strings.Cut(strings.TrimPrefix(b, "v"), "-")
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if x, y := digits(as, i), digits(bs, i); x != y {
			return x > y
		}
	}
	if (aWord == "") != (bWord == "") {
		return aWord == ""
	}
	return aWord > bWord
}

func digits(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i])
	return n
}
