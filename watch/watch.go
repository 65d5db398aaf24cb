// Package watch brings the events of the state machine to those who asked for them.
//
// A [Hub] takes the events of every applied entry from the goroutines that apply, which it never makes wait, and
// serves three kinds of listeners.
//
// # Subscribers
//
// A [Subscriber] is one connection with its channels and patterns. Besides what others [Hub.Publish] there are
// three families of channels for each group, which is a database of Redis:
//
//	__keyspace@<group>__:<key>    the name of what happened to the key
//	__keyevent@<group>__:<event>  the key it happened to
//	__watch@<group>__:<key>       what the key holds now, as JSON
//
// The first two are those of Redis, switched by [Hub.SetNotify]. A subscriber who does not keep up with them, or whom
// some have missed, ends with an error, as in Redis.
//
// A watch channel tells of one node and all below it, the empty key of the whole group. Each message is an object:
//
//	{"index":7,"event":"set","key":"a.b","kind":"value","value":"1"}
//
// index is that of the log entry, event what [fsm.What] calls it, key the changed node, and kind what it is now: value,
// dir, lock or none. Only values have a value. "encoding":"base64" says that the value was not UTF-8,
// "key_encoding":"base64" so of the key. A lock that is held has its token and a digest of its owner.
//
// The first message of a watch channel has the event "state" and says what its key is at that index. That of a directory
// is followed by one "state" for each node below it, unless they are more than 10 000 or take more than 8 MiB, an
// eighth of the output bound at most; then the first one has "partial":true and stands alone. From then on every change
// follows, so that nothing is missed. When changes of one key come faster than they are taken, only the newest is kept.
// When too much waits all the same, it is dropped, {"event":"lost"} comes instead, and then the current state
// as at first. For one subscription and key the index grows with each change; a state after "lost" may repeat the last
// one. Over all keys of a subscription it never falls. A change of a deadline alone is no change.
//
// A pattern that begins with __watch@<group>__: watches the nodes whose own channels it fits. Its first state and its
// flush are about the root, on the channel with the empty key.
//
// A "flushdb" says that everything below its key is gone as well, and what the key itself is after that entry.
//
// # Streams
//
// [Hub.Read] returns the events themselves from a ring that is bounded in number and bytes, from any [ID] that it still
// covers; else it says so. Nodes number events alike, so a reader can go on elsewhere. [Hub.Wait] waits for more.
//
// # Parked requests
//
// [Hub.Park] tells a request that waits for a lock how that ended.
//
// Package server is the caller. Nothing here knows of sockets or protocols.
package watch
