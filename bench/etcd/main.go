// Command etcd is etcd itself, a server for bench/locks to measure beside dtkv. It is a module of its own, so that dtkv
// does not depend on it.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
