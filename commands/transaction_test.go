package commands

import "testing"

func TestTransactions(t *testing.T) {
	runTranscripts(t, []transcript{
		{"queued commands run as one and see one another", `
			> MULTI
			< +OK
			> GET k
			< +QUEUED
			> SET k v
			< +QUEUED
			> GET k
			< +QUEUED
			> INCR k
			< +QUEUED
			> PING
			< +QUEUED
			> UNWATCH
			< +QUEUED
			> EXEC
			< *6
			< $-1
			< +OK
			< $1
			< v
			< -ERR value is not an integer or out of range
			< +PONG
			< +OK`},
		{"a watched key that changed forbids all of it", `
			> WATCH k
			< +OK
			> SET k other
			< +OK
			> MULTI
			< +OK
			> SET k mine
			< +QUEUED
			> EXEC
			< *-1
			> WATCH k
			< +OK
			> UNWATCH
			< +OK
			> SET k again
			< +OK
			> MULTI
			< +OK
			> EXEC
			< *0
			@ resp3
			> WATCH k
			< +OK
			> DEL k
			< :1
			> MULTI
			< +OK
			> EXEC
			< _`},
		{"a refused command forbids EXEC", `
			> MULTI
			< +OK
			> SET k
			< -ERR wrong number of arguments for 'set' command
			> SET k v
			< +QUEUED
			> EXEC
			< -EXECABORT Transaction discarded because of previous errors.
			> EXISTS k
			< :0`},
		{"a command with wrong arguments is queued, and EXEC tells, as in Redis", `
			> MULTI
			< +OK
			> SET k 1
			< +QUEUED
			> INCRBY k x
			< +QUEUED
			> GET a..b
			< +QUEUED
			> MSET a
			< -ERR wrong number of arguments for 'mset' command
			> DISCARD
			< +OK
			> MULTI
			< +OK
			> SET k 1
			< +QUEUED
			> INCRBY k x
			< +QUEUED
			> GET a..b
			< +QUEUED
			> MSET a 1 b
			< +QUEUED
			> EXEC
			< *4
			< +OK
			< -ERR value is not an integer or out of range
			< -BADKEY a key is 1 to 8192 bytes, without leading, trailing or doubled dots
			< -ERR wrong number of arguments for 'mset' command`},
		{"steps out of order", `
			> EXEC
			< -ERR EXEC without MULTI
			> DISCARD
			< -ERR DISCARD without MULTI
			> MULTI
			< +OK
			> MULTI
			< -ERR MULTI calls can not be nested
			> WATCH k
			< -ERR WATCH inside MULTI is not allowed
			> DISCARD
			< +OK
			> EXEC
			< -ERR EXEC without MULTI`},
	})
}
