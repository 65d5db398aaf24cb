package replica

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Dial opens a stream to another node, for a use that it serves with [Node.Serve], in a group that it holds. When Dial
// returns, the other end has accepted the stream. The context bounds that, not the stream. An error means that nothing
// of the stream was accepted.
func (n *Node) Dial(ctx context.Context, node, use string, group int) (net.Conn, error) {
	to, ok := n.base.latest().find(node)
	if !ok {
		return nil, fmt.Errorf("node %q is not a member of the cluster", node)
	}
	at, ok := n.catalogue().place(group)
	if !ok {
		return nil, fmt.Errorf("there is no group %d", group)
	}
	wait := helloTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, max(time.Until(deadline), time.Millisecond))
	}
	return dialPeer(n.cfg.dial, string(to.Address), n.hello(node, at, use), wait)
}

// Serve lets streams of a use in, from all members of the cluster and for all groups that are open here. accept is called on
// a goroutine of its own for each stream and owns it from then on; streams that stand are not ended by Close. Serve is
// called once for each use.
func (n *Node) Serve(use string, accept func(conn net.Conn, from string, group int)) {
	n.peers.serveAll(use, door{admit: n.base.admitMember, accept: func(conn net.Conn, h hello) { accept(conn, h.From, h.Group) }})
}

// Others are the ids of the other members of the cluster, as far as this node has heard.
func (n *Node) Others() (list []string) {
	base, ok := n.Group(0)
	if !ok {
		return nil
	}
	for _, s := range base.latest().servers {
		if string(s.ID) != n.meta.NodeID {
			list = append(list, string(s.ID))
		}
	}
	return list
}
