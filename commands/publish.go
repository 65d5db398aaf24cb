package commands

import "github.com/dtkv/dtkv/resp"

const publishFlags = PubSub | Loading | Stale | Fast

var publishCommand = Command{
	Name: "publish", Arity: 3, Flags: publishFlags,
	Group: "pubsub", Since: "2.0.0", Complexity: "O(N+M) for N subscribers and M patterns that may fit",
	Summary:    "Sends a message to a channel at all nodes, and answers how many subscribers of this node receive it",
	Syntax:     "channel message",
	Categories: []string{"pubsub"},
	Differs:    "A message is not written to the log: who is not there, or at a node that cannot be reached, does not get it.",
	Plan:       planPublish(ChannelSpace),
}

var spublishCommand = Command{
	Name: "spublish", Arity: 3, Flags: publishFlags,
	Group: "pubsub", Since: "7.0.0", Complexity: "O(N) for N subscribers",
	Summary:    "Sends a message to a shard channel at all nodes, and answers how many subscribers of this node receive it",
	Syntax:     "shardchannel message",
	Categories: []string{"pubsub"},
	Plan:       planPublish(ShardSpace),
}

func planPublish(space Space) func(*resp.Args, Settings) (Plan, error) {
	return func(a *resp.Args, _ Settings) (Plan, error) {
		channel, message := a.Bytes(), a.Bytes()
		return local(func(w *resp.Writer, s Session) { w.Int(int64(s.Publish(space, channel, message))) })
	}
}

var pubsubCommand = Command{
	Name: "pubsub", Arity: -2,
	Group: "pubsub", Since: "2.8.0", Complexity: "Depends on the subcommand",
	Summary: "A container of commands about subscriptions",
	Sub: []Command{
		pubsubSub("channels", -2, "2.8.0", "[pattern]", "O(N) for N channels", "Lists the channels that somebody is subscribed to",
			planPubsubChannels(ChannelSpace)),
		helpOf("pubsub", "pubsub", "6.2.0"),
		pubsubSub("numpat", 2, "2.8.0", "", "O(1)", "Answers how many patterns somebody is subscribed to", planPubsubNumPat),
		pubsubSub("numsub", -2, "2.8.0", "[channel [channel ...]]", "O(N) for N channels",
			"Answers for each channel how many are subscribed to it, those by pattern not counted", planPubsubNumSub(ChannelSpace)),
		pubsubSub("shardchannels", -2, "7.0.0", "[pattern]", "O(N) for N channels", "Lists the shard channels that somebody is subscribed to",
			planPubsubChannels(ShardSpace)),
		pubsubSub("shardnumsub", -2, "7.0.0", "[shardchannel [shardchannel ...]]", "O(N) for N channels",
			"Answers for each shard channel how many are subscribed to it", planPubsubNumSub(ShardSpace)),
	},
}

func pubsubSub(name string, arity int, since, syntax, complexity, summary string, plan func(*resp.Args, Settings) (Plan, error)) Command {
	return Command{
		Name: "pubsub|" + name, Arity: arity, Flags: PubSub | Loading | Stale,
		Group: "pubsub", Since: since, Complexity: complexity,
		Summary: summary, Syntax: syntax,
		Categories: []string{"pubsub"},
		Plan:       plan,
	}
}

func planPubsubChannels(space Space) func(*resp.Args, Settings) (Plan, error) {
	name := "CHANNELS"
	if space == ShardSpace {
		name = "SHARDCHANNELS"
	}
	return func(a *resp.Args, _ Settings) (Plan, error) {
		if a.Len() > 1 {
			return Plan{}, resp.Errorf("ERR", "unknown subcommand or wrong number of arguments for '%s'. Try PUBSUB HELP.", name)
		}
		pattern := ""
		if a.More() {
			pattern = a.Text()
		}
		if len(pattern) > maxPattern {
			return Plan{}, errLongPattern
		}
		return local(func(w *resp.Writer, s Session) {
			names := s.ActiveChannels(space, pattern)
			w.Array(len(names))
			for _, name := range names {
				w.BulkString(name)
			}
		})
	}
}

func planPubsubNumSub(space Space) func(*resp.Args, Settings) (Plan, error) {
	return func(a *resp.Args, _ Settings) (Plan, error) {
		names := a.Rest()
		return local(func(w *resp.Writer, s Session) {
			w.Array(2 * len(names))
			for _, name := range names {
				w.Bulk(name)
				w.Int(int64(s.Subscribers(space, name)))
			}
		})
	}
}

func planPubsubNumPat(*resp.Args, Settings) (Plan, error) {
	return local(func(w *resp.Writer, s Session) { w.Int(int64(s.Patterns())) })
}
