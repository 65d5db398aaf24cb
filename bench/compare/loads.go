package main

import "strings"

// The data that every load works on.
const (
	valueBytes = 256
	keys       = 10_000
)

// Load is one thing that a server is asked to do, and how fast dtkv is to be at it, as a multiple of Redis.
type Load struct {
	Name     string  `json:"name"`
	Command  string  `json:"command"`
	Clients  int     `json:"clients"`
	Pipeline int     `json:"pipeline"`
	Must     float64 `json:"must"`
	Aim      float64 `json:"aim"`
}

// loads are the single node half of the goals: see docs/testing.md.
var loads = []Load{
	{"set/50x1", "SET", 50, 1, 0.75, 1.0},
	{"set/50x16", "SET", 50, 16, 1.1, 1.4},
	{"set/50x100", "SET", 50, 100, 1.4, 2.0},
	{"set/1x1", "SET", 1, 1, 0.75, 1.0},
	{"get/50x1", "GET", 50, 1, 0.8, 1.0},
	{"get/50x16", "GET", 50, 16, 0.8, 1.2},
	{"get/50x100", "GET", 50, 100, 1.0, 1.3},
	{"get/1x1", "GET", 1, 1, 0.9, 1.0},
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
