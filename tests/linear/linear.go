// Package linear checks that concurrent clients of a real dtkv see one history. What they sent and what came back is
// compared with models of a lock and of a key, while leases end, requests are cut off and the server is killed. The package
// has nothing but tests.
package linear
