// Package cluster runs several nodes on this machine and changes who they are: it lets them form, grow, shrink, lead and
// go. The package has nothing but tests.
package cluster
