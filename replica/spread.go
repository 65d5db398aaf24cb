package replica

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// spreadPoll is how often a node looks whether it leads more groups than others. It hands over one at a time.
	spreadPoll = 3 * time.Second
	// spreadTime bounds one hand-over.
	spreadTime = 3 * time.Second
)

// spread hands leadership of groups to voters that lead fewer, so that each node has its share of the work. A difference of
// one stays: to even it out would only move it.
func (k *keeper) spread() {
	tick := time.NewTicker(k.node.cfg.spreadPoll)
	defer tick.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-tick.C:
		}
		g, to := k.node.surplus(k.ctx)
		if g == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(k.ctx, spreadTime)
		err := g.changeHere(ctx, change{Kind: transfer, ID: string(to)})
		cancel()
		if err != nil {
			k.node.cfg.Logger.Info("leadership was not handed over", "group", g.id, "to", string(to), "error", err)
		}
	}
}

// surplus returns a group that somebody else should lead, and who; nil if there is none. Group 0 goes last.
func (n *Node) surplus(ctx context.Context) (best *Group, to raft.ServerID) {
	led := n.led()
	if len(led) < 2 || n.stopping.Load() {
		return nil, ""
	}
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	leads := map[raft.ServerID]int{} // how many groups others lead; -1 if they do not answer
	fewest := len(led) - 1
	slices.Reverse(led)
	for _, g := range led {
		for _, s := range g.latest().voters() {
			if s.ID == g.transport.id {
				continue
			}
			if _, asked := leads[s.ID]; !asked {
				leads[s.ID] = -1
				if i, err := g.meet(ctx, s); err == nil {
					leads[s.ID] = i.Leads
				}
			}
			if l := leads[s.ID]; l >= 0 && l < fewest {
				best, to, fewest = g, s.ID, l
			}
		}
	}
	return best, to
}
