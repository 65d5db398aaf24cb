// Package compat holds dtkv to the replies of Redis, byte for byte.
//
// Behaviour is written down as transcripts, testdata/*.txt: what a client sends and what comes back. Each runs against
// dtkv, and, where its head says so, against Redis 7.0 too, which must give the same bytes. go test -rewrite prints what
// came back into the transcript instead; the difference is then read by a person. The package has nothing but tests:
// see transcript_test.go for the language of transcripts.
package compat
