// Package deploy holds what deploy/ promises, without an engine of containers: the Dockerfile is carried out instruction by
// instruction, the manifests are read strictly, and what they would run is run as processes of this machine. The package
// has nothing but tests.
package deploy
