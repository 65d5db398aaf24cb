// Package operating does what docs/operating.md says, command by command. The package has nothing but tests.
package operating
