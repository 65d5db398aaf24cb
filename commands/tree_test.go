package commands

import "testing"

func TestTheTree(t *testing.T) {
	runTranscripts(t, []transcript{
		{"MKDIR makes one directory, or all on the way", `
			> DTKV.MKDIR a
			< :1
			> DTKV.MKDIR a
			< :0
			> DTKV.MKDIR b.c
			< -NOPARENT parent directory 'b' does not exist
			> DTKV.MKDIR b.c PARENTS
			< :1
			> DTKV.MKDIR b.c parents
			< :0
			> SET v 1
			< +OK
			> DTKV.MKDIR v
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DTKV.MKDIR v.d
			< -NOTDIR 'v' is not a directory
			> DTKV.MKDIR x PX 0
			< -ERR invalid expire time in 'dtkv.mkdir' command
			> DTKV.MKDIR x PX soon
			< -ERR value is not an integer or out of range
			> DTKV.MKDIR x OWNER me
			< -ERR syntax error
			> DTKV.MKDIR x FOO
			< -ERR syntax error`},
		{"RMDIR removes an empty directory, or all below it", `
			> DTKV.MKDIR a.b PARENTS
			< :1
			> SET a.b.k v
			< +OK
			> DTKV.RMDIR a
			< -NOTEMPTY 'a' has children
			> DTKV.RMDIR a RECURSIVE
			< :3
			> DTKV.RMDIR a
			< :0
			> SET v 1
			< +OK
			> DTKV.RMDIR v
			< -WRONGTYPE Operation against a key holding the wrong kind of value
			> DTKV.RMDIR v FOO
			< -ERR syntax error`},
		{"CAS compares, creates and removes", `
			> DTKV.CAS k "" one
			< :1
			> DTKV.CAS k "" two
			< :0
			> DTKV.CAS k other two
			< :0
			> DTKV.CAS k one two
			< :1
			> DTKV.CAS k one ""
			< :0
			> DTKV.CAS k two ""
			< :1
			> DTKV.CAS k two three
			< :0
			> DTKV.CAS k "" ""
			< -ERR expected and new value cannot both be empty
			> DTKV.MKDIR d
			< :1
			> DTKV.CAS d "" x
			< :0
			> DTKV.CAS d x ""
			< :0
			> DTKV.CAS no.k "" x
			< -NOPARENT parent directory 'no' does not exist`},
		{"a batch answers for each element, and later ones see earlier ones", `
			> SET v 1
			< +OK
			> DTKV.BATCHPUT a 1 v.b 2 no.c 3 a 4 .d 5
			< *5
			< +OK
			< -NOTDIR 'v' is not a directory
			< -NOPARENT parent directory 'no' does not exist
			< +OK
			< -BADKEY a key is 1 to 8192 bytes, without leading, trailing or doubled dots
			> GET a
			< $1
			< 4
			> DTKV.MKDIR d
			< :1
			> SET d.k v
			< +OK
			> DTKV.BATCHREMOVE a a d d.k d "" missing
			< *7
			< :1
			< :0
			< -NOTEMPTY 'd' has children
			< :1
			< :1
			< -BADKEY a key is 1 to 8192 bytes, without leading, trailing or doubled dots
			< :0
			> DTKV.BATCHPUT a
			< -ERR wrong number of arguments for 'dtkv.batchput' command
			> DTKV.BATCHPUT a 1 b
			< -ERR wrong number of arguments for 'dtkv.batchput' command
			> DTKV.BATCHREMOVE
			< -ERR wrong number of arguments for 'dtkv.batchremove' command`},
	})
}

func TestListing(t *testing.T) {
	runTranscripts(t, []transcript{
		{"children come in the order of their names, as arrays", `
			> DTKV.MKDIR d
			< :1
			> SET d.b two
			< +OK
			> DTKV.MKDIR d.a
			< :1
			> SET d.b three
			< +OK
			> DTKV.LIST d
			< *2
			< *8
			< $1
			< a
			< $3
			< dir
			< $-1
			< :3
			< :3
			< :1002
			< :1002
			< :-1
			< *8
			< $1
			< b
			< $5
			< value
			< $5
			< three
			< :2
			< :4
			< :1001
			< :1003
			< :-1`},
		{"as maps in RESP3, and without values when asked", `
			@ resp3
			> SET k v
			< +OK
			> DTKV.LIST "" NOVALUES
			< *1
			< %8
			< $4
			< name
			< $1
			< k
			< $4
			< kind
			< $5
			< value
			< $5
			< value
			< _
			< $12
			< create-index
			< :1
			< $12
			< update-index
			< :1
			< $9
			< create-ms
			< :1000
			< $9
			< update-ms
			< :1000
			< $4
			< pttl
			< :-1`},
		{"in pages", `
			> MSET a 1 b 2 c 3
			< +OK
			> DTKV.LIST "" AFTER a LIMIT 1
			< *1
			< *8
			< $1
			< b
			< $5
			< value
			< $1
			< 2
			< :1
			< :1
			< :1000
			< :1000
			< :-1
			> DTKV.LIST "" AFTER c
			< *0
			> DTKV.LIST "" LIMIT 0
			< -ERR value is out of range, must be positive
			> DTKV.LIST "" LIMIT x
			< -ERR value is not an integer or out of range
			> DTKV.LIST "" AFTER
			< -ERR syntax error
			> DTKV.LIST "" FOO
			< -ERR syntax error`},
		{"what is missing is null", `
			> DTKV.LIST d
			< *-1
			> DTKV.STAT d
			< *-1
			> DTKV.LIST ""
			< *0
			@ resp3
			> DTKV.LIST d
			< _
			> DTKV.STAT d
			< _`},
		{"STAT is a map of the same and more", `
			@ resp3
			> DTKV.MKDIR d
			< :1
			> SET d.k v
			< +OK
			> DTKV.STAT d
			< %10
			< $4
			< name
			< $1
			< d
			< $4
			< kind
			< $3
			< dir
			< $5
			< value
			< _
			< $12
			< create-index
			< :1
			< $12
			< update-index
			< :2
			< $9
			< create-ms
			< :1000
			< $9
			< update-ms
			< :1001
			< $4
			< pttl
			< :-1
			< $8
			< children
			< :1
			< $5
			< owner
			< _`},
		{"INDEX tells the applied index and the leader's term", `
			> SET k v
			< +OK
			> DTKV.INDEX
			< *4
			< $5
			< index
			< :1
			< $4
			< term
			< :0
			@ resp3
			> DTKV.INDEX
			< %2
			< $5
			< index
			< :1
			< $4
			< term
			< :0`},
	})
}
