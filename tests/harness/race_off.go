//go:build !race

package harness

// racing is false: the tests were built without the race detector, so the binary is too.
const racing = false
