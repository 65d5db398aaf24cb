// Package crash ends dtkv the hard way, in the middle of writing, and damages what it left on disk. Every write that was
// acknowledged must be there when it is back, or it must refuse to start and say why. The package has nothing but tests.
package crash
