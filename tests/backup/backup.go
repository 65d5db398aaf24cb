// Package backup saves clusters that are written to, makes new ones of what was saved, and goes on with what a lost majority
// has left. The package has nothing but tests.
package backup
