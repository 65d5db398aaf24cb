package replica

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/hashicorp/raft"
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
	servers := g.raft.GetConfiguration().Configuration().Servers
	list := make([]Sighting, len(servers))
	done := make(chan struct{})
	for i, s := range servers {
		go func() {
			list[i] = g.look(ctx, s)
			done <- struct{}{}
		}()
	}
	for range servers {
		<-done
	}
	return list
}

// look asks one member how it is.
func (g *Group) look(ctx context.Context, s raft.Server) Sighting {
	seen := Sighting{Member: Member{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter}}
	i, err := g.meet(ctx, s)
	if err == nil {
		seen.Up, seen.Client, seen.Version, seen.Last = true, i.Client, i.Version, i.Last
	}
	return seen
}

// meet introduces this node to another one.
func (g *Group) meet(ctx context.Context, s raft.Server) (i introduction, err error) {
	if s.ID == g.transport.id {
		return g.introduce(string(s.ID)), nil
	}
	if _, err = g.ask(ctx, s, useMeet, g.introduce(string(s.ID)), &i); err == nil {
		g.clients.note(string(s.ID), i.Client)
	}
	return i, err
}

// introduce is what this node says of itself to another one.
func (g *Group) introduce(to string) introduction {
	known := g.configured.Load()
	_, member := known.find(to)
	return introduction{
		Client: g.cfg.Client, Version: g.cfg.Version, Last: g.raft.LastIndex(), Configured: known.index, Member: member,
	}
}

func (g *Group) answerMeet(_ context.Context, from hello, question []byte) any {
	var i introduction
	if err := json.Unmarshal(question, &i); err == nil {
		g.clients.note(from.From, i.Client)
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
