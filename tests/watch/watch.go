// Package watch tests subscribers, streams of events and waits for locks from outside: ordinary client programs, and peers
// that die, read nothing, or come and go. The package has nothing but tests.
package watch
