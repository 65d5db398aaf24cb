//go:build race

package harness

// racing builds the binary under test with the race detector when the tests themselves were built with it.
const racing = true
