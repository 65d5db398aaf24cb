// Package start does what a newcomer does first: the commands of README.md, in its order. The package has nothing but tests.
package start
