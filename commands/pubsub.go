package commands

import "github.com/dtkv/dtkv/resp"

// Space is one of the spaces of names that one can subscribe to. A message reaches those of its own space, and a
// channel's also those whose patterns fit.
type Space uint8

// The spaces of names.
const (
	ChannelSpace Space = iota
	PatternSpace
	ShardSpace
)

// Subscription is what a subscriber asks for: the server carries it out name by name and prints each step with
// [Subscription.Print].
type Subscription struct {
	Space Space
	Leave bool
	Names [][]byte // none: leave all
}

var subscriptionWords = [2][3]string{
	{"subscribe", "psubscribe", "ssubscribe"},
	{"unsubscribe", "punsubscribe", "sunsubscribe"},
}

// Print tells the client of one step: the name, or nil if there was none to leave, and how many subscriptions are left, of
// channels and patterns together or of shard channels.
func (s *Subscription) Print(w *resp.Writer, name []byte, left int) {
	word := subscriptionWords[0][s.Space]
	if s.Leave {
		word = subscriptionWords[1][s.Space]
	}
	w.Push(3)
	w.BulkString(word)
	if name == nil {
		w.Null()
	} else {
		w.Bulk(name)
	}
	w.Int(int64(left))
}

// PrintMessage prints a message that somebody subscribed to; pattern is what the channel fits in the space of patterns.
func PrintMessage(w *resp.Writer, s Space, pattern, channel string, payload []byte) {
	switch s {
	case PatternSpace:
		w.Push(4)
		w.BulkString("pmessage")
		w.BulkString(pattern)
	case ShardSpace:
		w.Push(3)
		w.BulkString("smessage")
	default:
		w.Push(3)
		w.BulkString("message")
	}
	w.BulkString(channel)
	w.Bulk(payload)
}

// ErrSubscriber refuses a command without the WhileSubscribed flag on a connection of RESP2 that is subscribed to
// anything: its replies could not be told from messages.
func ErrSubscriber(c *Command) error {
	return resp.Errorf("ERR", "Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "+
		"this context", c.Name)
}

const subscribeFlags = PubSub | NoScript | Loading | Stale | WhileSubscribed

func subscription(name string, arity int, since, syntax, complexity, summary, differs string, s Subscription) Command {
	return Command{
		Name: name, Arity: arity, Flags: subscribeFlags,
		Group: "pubsub", Since: since, Complexity: complexity,
		Summary:    summary,
		Syntax:     syntax,
		Categories: []string{"pubsub"},
		Differs:    differs,
		Plan: func(a *resp.Args, _ Settings) (Plan, error) {
			s := s // one for each plan
			s.Names = a.Rest()
			return Plan{Kind: Subscribe, Sub: s}, nil
		},
	}
}

var (
	subscribeCommand = subscription("subscribe", -2, "2.0.0", "channel [channel ...]", "O(N) for N channels",
		"Subscribes to channels",
		"A channel __watch@0__:key tells of that key and all below it: first what it holds now, then every change.",
		Subscription{Space: ChannelSpace})
	psubscribeCommand = subscription("psubscribe", -2, "2.0.0", "pattern [pattern ...]", "O(N) for N patterns",
		"Subscribes to all channels that fit a pattern",
		"A pattern has at most 1024 bytes. Only patterns that begin with __watch@0__: are shown watch channels.",
		Subscription{Space: PatternSpace})
	ssubscribeCommand = subscription("ssubscribe", -2, "7.0.0", "shardchannel [shardchannel ...]", "O(N) for N channels",
		"Subscribes to shard channels, which have a space of names of their own", "",
		Subscription{Space: ShardSpace})
	unsubscribeCommand = subscription("unsubscribe", -1, "2.0.0", "[channel [channel ...]]", "O(N) for N channels",
		"Ends subscriptions to channels, all of them when none is named", "",
		Subscription{Space: ChannelSpace, Leave: true})
	punsubscribeCommand = subscription("punsubscribe", -1, "2.0.0", "[pattern [pattern ...]]", "O(N) for N patterns",
		"Ends subscriptions to patterns, all of them when none is named", "",
		Subscription{Space: PatternSpace, Leave: true})
	sunsubscribeCommand = subscription("sunsubscribe", -1, "7.0.0", "[shardchannel [shardchannel ...]]", "O(N) for N channels",
		"Ends subscriptions to shard channels, all of them when none is named", "",
		Subscription{Space: ShardSpace, Leave: true})
)
