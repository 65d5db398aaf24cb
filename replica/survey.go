package replica

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/dtkv/dtkv/fsm"
)

// useMeet: nodes introduce themselves to each other.
const useMeet = "meet"

// surveyTime bounds how long a survey waits for a member.
const surveyTime = time.Second

// introduction is what a node says of itself.
type introduction struct {
	Client     string `json:"client"`
	Version    string `json:"version"`
	Last       uint64 `json:"last"`       // index of the newest log entry
	Configured uint64 `json:"configured"` // index of the newest committed configuration that the node knows
	Member     bool   `json:"member"`     // it has the other node in it

	Term    uint64   `json:"term,omitempty"`
	Leader  string   `json:"leader,omitempty"`  // id
	Members []Member `json:"members,omitempty"` // of the newest configuration
	Leads   int      `json:"leads,omitempty"`   // how many groups the node leads
}

// Sighting is a member as this node sees it.
type Sighting struct {
	Member
	Up      bool   // it answers
	Client  string // where clients reach it
	Version string
	Last    uint64 // index of its newest log entry
}

// Survey asks all members of the newest configuration how they are.
func (g *Group) Survey(ctx context.Context) []Sighting {
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	list, _ := survey(g.latest().servers, func(s raft.Server) (introduction, error) { return g.meet(ctx, s) })
	return list
}

// survey meets all servers side by side. It also returns what they said, the zero value for those that did not answer.
func survey(servers []raft.Server, meet func(raft.Server) (introduction, error)) ([]Sighting, []introduction) {
	list, said := make([]Sighting, len(servers)), make([]introduction, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		list[i].Member = memberOf(s)
		wg.Go(func() {
			met, err := meet(s)
			if err == nil {
				said[i] = met
				list[i].Up, list[i].Client, list[i].Version, list[i].Last = true, met.Client, met.Version, met.Last
			}
		})
	}
	wg.Wait()
	return list, said
}

// meet introduces this node to another one.
func (g *Group) meet(ctx context.Context, s raft.Server) (i introduction, err error) {
	if s.ID == g.transport.id {
		return g.introduce(string(s.ID)), nil
	}
	if _, err = g.ask(ctx, s, useMeet, g.introduce(string(s.ID)), &i); err == nil {
		g.node.clients.note(string(s.ID), i.Client)
	}
	return i, err
}

// introduce is what this node says of itself to another one.
func (g *Group) introduce(to string) introduction {
	known := g.configured.Load()
	_, member := known.find(to)
	_, leader := g.raft.LeaderWithID()
	leads := len(g.node.led())
	if g.node.stopping.Load() {
		leads = fsm.MaxGroup + 1 // it is to get no more
	}
	return introduction{
		Client: g.cfg.Client, Version: g.cfg.Version, Last: g.raft.LastIndex(), Configured: known.index, Member: member,
		Term: g.raft.CurrentTerm(), Leader: string(leader), Members: g.latest().members(), Leads: leads,
	}
}

func (g *Group) answerMeet(_ context.Context, from hello, question []byte) any {
	var i introduction
	if err := json.Unmarshal(question, &i); err == nil {
		g.node.clients.note(from.From, i.Client)
	}
	return g.introduce(from.From)
}

// addresses remembers where clients reach other nodes. The zero value is empty.
type addresses struct {
	mu   sync.Mutex
	byID map[string]string // at most maxKnown, since only acquaintances are noted
}

func (a *addresses) note(id, address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byID == nil {
		a.byID = map[string]string{}
	}
	a.byID[id] = address
}

func (a *addresses) find(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byID[id]
}
