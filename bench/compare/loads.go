package main

import (
	"strings"

	"github.com/dtkv/dtkv/bench/load"
)

// data is what every load works on.
var data = load.Data{Keys: 10_000, Bytes: 256}

// Load is one thing that a server is asked to do, and how fast dtkv is to be at it, as a multiple of what is measured beside
// it.
type Load struct {
	Name     string  `json:"name"`
	Command  string  `json:"command"`
	Clients  int     `json:"clients"`
	Pipeline int     `json:"pipeline"`
	Nodes    int     `json:"nodes"`  // of dtkv, all on this machine; the leader is asked
	Beside   string  `json:"beside"` // what dtkv is compared with
	Must     float64 `json:"must"`
	Aim      float64 `json:"aim"`
}

// What dtkv is compared with. Redis is always one server, with every write on its disk.
const (
	besideRedis = "Redis"
	besideAlone = "dtkv" // a node of its own
)

// loads are the goals: see docs/testing.md.
var loads = []Load{
	{"set/50x1", "SET", 50, 1, 1, besideRedis, 0.75, 1.0},
	{"set/50x16", "SET", 50, 16, 1, besideRedis, 1.1, 1.4},
	{"set/50x100", "SET", 50, 100, 1, besideRedis, 1.4, 2.0},
	{"set/1x1", "SET", 1, 1, 1, besideRedis, 0.75, 1.0},
	{"get/50x1", "GET", 50, 1, 1, besideRedis, 0.8, 1.0},
	{"get/50x16", "GET", 50, 16, 1, besideRedis, 0.8, 1.2},
	{"get/50x100", "GET", 50, 100, 1, besideRedis, 1.0, 1.3},
	{"get/1x1", "GET", 1, 1, 1, besideRedis, 0.9, 1.0},
	{"x3/set/50x1", "SET", 50, 1, 3, besideRedis, 0.50, 0.75},
	{"x3/set/50x16", "SET", 50, 16, 3, besideRedis, 0.49, 0.82},
	{"x3/set/50x100", "SET", 50, 100, 3, besideRedis, 0.52, 1.0},
	{"x3/set/1x1", "SET", 1, 1, 3, besideRedis, 0.34, 0.57},
	{"x3/get/50x1", "GET", 50, 1, 3, besideAlone, 0.8, 1.0},
	{"x3/get/50x16", "GET", 50, 16, 3, besideAlone, 0.8, 1.0},
	{"x3/get/50x100", "GET", 50, 100, 3, besideAlone, 0.8, 1.0},
	{"x3/get/1x1", "GET", 1, 1, 3, besideAlone, 0.3, 0.4}, // see docs/adr/0029-one-clients-read.md
}

// names lists the names of loads.
func names(all []Load) []string {
	out := make([]string, len(all))
	for i, l := range all {
		out[i] = l.Name
	}
	return out
}

// choose returns the loads whose names contain one of the words, which commas separate; all of them for no word.
func choose(words string) []Load {
	var chosen []Load
	for _, l := range loads {
		for word := range strings.SplitSeq(words, ",") {
			if strings.Contains(l.Name, strings.TrimSpace(word)) {
				chosen = append(chosen, l)
				break
			}
		}
	}
	return chosen
}
