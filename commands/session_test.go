package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dtkv/dtkv/fsm"
	"github.com/dtkv/dtkv/resp"
)

// fakeSession is a connection to a node of one, with what tests look at.
type fakeSession struct {
	name             string
	library          map[string]string
	db               int
	needPassword     bool
	authenticated    bool
	reply            ReplyMode
	noEvict, noTouch bool
	readOnly         bool
	proto            int
	killed           []int64
	others           []Client
	role             Role
	parameters       []Parameter
	statsReset       bool
	saving           bool
	synced           bool
	replicas         int
	asked            []string
	owner            fsm.Owner
	subs             [3][]string
	published        []string
	events           []Event
	oldest           EventID
	slow             []SlowCommand
}

func (s *fakeSession) ID() int64           { return 7 }
func (s *fakeSession) Name() string        { return s.name }
func (s *fakeSession) SetName(name string) { s.name = name }

func (s *fakeSession) SetLibrary(attribute, value string) {
	if s.library == nil {
		s.library = make(map[string]string)
	}
	s.library[attribute] = value
}

func (s *fakeSession) Authenticate(user, password string) bool {
	if user != "default" || s.needPassword && password != "secret" {
		return false
	}
	s.authenticated = true
	return true
}

func (s *fakeSession) Authenticated() bool  { return s.authenticated }
func (s *fakeSession) SetReply(m ReplyMode) { s.reply = m }
func (s *fakeSession) SetNoEvict(on bool)   { s.noEvict = on }
func (s *fakeSession) SetNoTouch(on bool)   { s.noTouch = on }
func (s *fakeSession) SetReadOnly(on bool)  { s.readOnly = on }
func (s *fakeSession) Owner() fsm.Owner     { return s.owner }
func (s *fakeSession) SetOwner(o fsm.Owner) { s.owner = o }
func (s *fakeSession) Reset() {
	*s = fakeSession{authenticated: !s.needPassword, owner: OwnerOf([]byte("anew"))}
}
func (s *fakeSession) PasswordRequired() bool { return s.needPassword }
func (s *fakeSession) UnixMicro() int64       { return 1_700_000_000_000_042 }
func (s *fakeSession) LastSave() int64        { return 1_700_000_000 }
func (s *fakeSession) Save() (bool, error)    { begun := !s.saving; s.saving = true; return begun, nil }
func (s *fakeSession) Shutdown() error        { return nil }
func (s *fakeSession) ResetStats()            { s.statsReset = true }
func (s *fakeSession) Durable() (bool, int)   { return s.synced, s.replicas }

func (s *fakeSession) Self() Client {
	return Client{
		ID: 7, Addr: "127.0.0.1:5000", LocalAddr: "127.0.0.1:6379", FD: -1, Name: s.name, Age: 3, Flags: "N", Multi: -1,
		Command: "client|info", User: "default", Proto: 2,
	}
}

func (s *fakeSession) Clients() []Client {
	all := append([]Client{s.Self()}, s.others...)
	slices.SortFunc(all, func(a, b Client) int { return int(a.ID - b.ID) })
	return all
}

func (s *fakeSession) Kill(id int64) bool {
	s.killed = append(s.killed, id)
	return true
}

func (s *fakeSession) Role() Role {
	if s.role.Link == "" {
		return Role{Leader: true, Offset: 9, Replicas: s.role.Replicas}
	}
	return s.role
}

func (s *fakeSession) Info(sections []string) []InfoSection {
	s.asked = sections
	all := []InfoSection{
		{"Server", []InfoField{{Name: "redis_version", Value: RedisVersion}, {Name: "tcp_port", Value: "6379"}}},
		{"Keyspace", []InfoField{{Name: "db0", Value: "keys=1,expires=0,avg_ttl=0"}}},
	}
	if len(sections) == 0 || sections[0] == "all" {
		return all
	}
	return slices.DeleteFunc(all, func(i InfoSection) bool { return !slices.Contains(sections, strings.ToLower(i.Name)) })
}

func (s *fakeSession) Parameters() []Parameter {
	if s.parameters == nil {
		s.parameters = []Parameter{
			{Name: "appendonly", Value: "yes", Fixed: true},
			{Name: "databases", Value: "1", Fixed: true},
			{Name: "maxmemory", Value: "0"},
			{Name: "save", Value: ""},
			{Name: "timeout", Value: "0"},
		}
	}
	return s.parameters
}

func (s *fakeSession) SetParameters(changes []Parameter) error {
	for _, c := range changes {
		if c.Value == "wrong" {
			return &ParameterError{c.Name, fmt.Sprintf("argument must not be %s", c.Value)}
		}
	}
	for _, c := range changes {
		for i := range s.parameters {
			if s.parameters[i].Name == c.Name {
				s.parameters[i].Value = c.Value
			}
		}
	}
	return nil
}

func (s *fakeSession) Subscribed() bool { return len(s.subs[0])+len(s.subs[1])+len(s.subs[2]) > 0 }

// subscribe does what a server does for one connection.
func (s *fakeSession) subscribe(w *resp.Writer, a *Subscription) {
	mine := &s.subs[a.Space]
	names := a.Names
	if a.Leave && len(names) == 0 {
		for _, name := range *mine {
			names = append(names, []byte(name))
		}
	}
	left := func() int {
		if a.Space == ShardSpace {
			return len(s.subs[ShardSpace])
		}
		return len(s.subs[ChannelSpace]) + len(s.subs[PatternSpace])
	}
	if len(names) == 0 {
		a.Print(w, nil, left())
	}
	for _, name := range names {
		*mine = slices.DeleteFunc(*mine, func(have string) bool { return have == string(name) })
		if !a.Leave {
			*mine = append(*mine, string(name))
		}
		a.Print(w, name, left())
	}
}

func (s *fakeSession) Publish(space Space, channel, message []byte) int {
	s.published = append(s.published, fmt.Sprintf("%d %s %s", space, channel, message))
	return s.Subscribers(space, channel)
}

func (s *fakeSession) ActiveChannels(space Space, _ string) []string {
	return slices.Sorted(slices.Values(s.subs[space]))
}

func (s *fakeSession) Subscribers(space Space, channel []byte) int {
	if slices.Contains(s.subs[space], string(channel)) {
		return 1
	}
	return 0
}

func (s *fakeSession) Patterns() int { return len(s.subs[PatternSpace]) }

func (s *fakeSession) remember(index uint64, events []fsm.Event) {
	for i, e := range events {
		s.events = append(s.events, Event{EventID{index, uint64(i) + 1}, e})
	}
}

func (s *fakeSession) shown(path string, e Event) bool {
	return path == "" || e.Key == path || strings.HasPrefix(e.Key, path+".")
}

func (s *fakeSession) EventsAfter(path string, after EventID, most int) (list []Event, next EventID, err error) {
	if after.less(s.oldest) {
		return nil, after, &CompactedError{s.oldest}
	}
	for _, e := range s.events {
		if after.less(e.EventID) && s.shown(path, e) && (most <= 0 || len(list) < most) {
			list = append(list, e)
		}
	}
	return list, after, nil
}

func (s *fakeSession) EventsBefore(path string, before EventID, most int) (list []Event) {
	for _, e := range slices.Backward(s.events) {
		if e.less(before) && s.oldest.less(e.EventID) && s.shown(path, e) && (most <= 0 || len(list) < most) {
			list = append(list, e)
		}
	}
	return list
}

func (s *fakeSession) EventCount(path string) int {
	list, _, _ := s.EventsAfter(path, s.oldest, 0)
	return len(list)
}

func (s *fakeSession) LastEvent() EventID {
	if len(s.events) == 0 {
		return s.oldest
	}
	return s.events[len(s.events)-1].EventID
}

func (s *fakeSession) OldestEvent() EventID { return s.oldest }

func (s *fakeSession) SlowLog(most int) []SlowCommand { return s.slow[:min(most, len(s.slow))] }
func (s *fakeSession) SlowLogLen() int                { return len(s.slow) }
func (s *fakeSession) ResetSlowLog()                  { s.slow = nil }

func (s *fakeSession) Spikes() []Spike {
	return []Spike{{Event: "command", Newest: Sample{1_700_000_000, 12}, WorstMillis: 30}}
}

func (s *fakeSession) SpikeHistory(event string) []Sample {
	if event != "command" {
		return nil
	}
	return []Sample{{1_699_999_990, 30}, {1_700_000_000, 12}}
}

func (s *fakeSession) ResetSpikes(events []string) int { return len(events) }
func (s *fakeSession) LatencyReport() string           { return "all is well" }

func (s *fakeSession) CommandLatencies(names []string) (list []CommandLatency) {
	for _, name := range names {
		list = append(list, CommandLatency{Name: name, Calls: 3, Below: []Below{{4, 1}, {16, 3}}})
	}
	return list
}
