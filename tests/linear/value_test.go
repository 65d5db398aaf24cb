package linear

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/dtkv/dtkv/tests/harness"
)

const (
	keys       = 16 // at a time
	keyClients = 8  // that share one key; some of them have the same owner
	actsPerKey = 300
)

// A key holds what the latest command left there, for as long as it said and not less, and a temporary value belongs to
// its owner.
func TestValuesAreLinearizable(t *testing.T) {
	r := newServerRig(t)
	histories := map[string][]porcupine.Operation{}
	for round := range *rounds {
		var done sync.WaitGroup
		var sent atomic.Int64
		all := r.useValues(round, &done, &sent)
		harness.Eventually(t, "half of the commands", func() bool { return sent.Load() > keys*actsPerKey/2 || !r.server.Alive() })
		r.restart(t)
		done.Wait()
		for _, k := range all {
			histories[k.key] = k.history()
		}
		r.report(t)
	}
	t.Logf("%d commands on %d keys, %d kills, in %s", r.sent.Load(), len(histories), len(r.deaths), time.Since(r.began))
	checkAll(t, valueModel(), histories)
}

// useValues has clients use new keys.
func (r *rig) useValues(round int, done *sync.WaitGroup, sent *atomic.Int64) []*register {
	all := make([]*register, keys)
	for i := range all {
		all[i] = &register{key: fmt.Sprintf("key-%d-%d", round, i), sent: sent}
		for n := range keyClients {
			c := r.client((round*keys+i)*keyClients + n)
			done.Go(func() { all[i].use(c, n) })
		}
	}
	return all
}

// register is one key, and what was done to it.
type register struct {
	key  string
	sent *atomic.Int64 // to all keys
	acts atomic.Int64

	mu  sync.Mutex
	ops []porcupine.Operation
}

// use sends commands until the key has had its share.
func (k *register) use(c *client, number int) {
	defer c.close()
	owner := fmt.Sprintf("%s-owner-%d", k.key, number/2)
	last, doubt := "", false // what this client saw last; whether it does not know what came of a write
	for n := 0; k.acts.Add(1) <= actsPerKey; n++ {
		fresh := fmt.Sprintf("%d-%d", number, n)
		op := &valueOp{ttl: int64(1+c.random.IntN(15)) * int64(time.Millisecond)}
		switch pick := c.random.IntN(100); {
		case c.rig.cluster != nil: // What expires while a write is in doubt leaves too many ways to be told apart.
			op.ttl = 0
			switch {
			case pick < 45 || doubt: // In doubt, look first, as everybody should; and so one failure leaves each client in doubt once.
				op.command = []string{"GET"}
			case pick < 65:
				op.command = []string{"SET", fresh}
			default:
				op.command = []string{"CAS", last, fresh}
			}
		case pick < 30:
			op.command, op.ttl = []string{"GET"}, 0
		case pick < 38:
			op.command, op.ttl = []string{"SET", fresh}, 0
		case pick < 50:
			op.command = []string{"SET", fresh}
		case pick < 65:
			op.command, op.ttl = []string{"CAS", last, fresh}, 0
		case pick < 70 && last != "":
			op.command, op.ttl = []string{"CAS", last, ""}, 0
		case pick < 82:
			op.command, op.owner = []string{"PUTTEMP", fresh}, owner
		case pick < 90:
			op.command, op.owner = []string{"UPDATETTL"}, owner
		case pick < 95:
			op.command, op.ttl = []string{"DEL"}, 0
		default:
			op.command, op.owner, op.ttl = []string{"REMOVE"}, owner, 0
		}
		a := c.send(op.args(k.key)...)
		k.sent.Add(1)
		doubt = a.unknown
		if op.command[0] == "GET" {
			if a.unknown {
				continue // It changed nothing, and said nothing.
			}
			last = a.reply
			if last == "null" {
				last = ""
			}
		}
		op.call, op.ret, op.unknown, op.reply = a.call, a.ret, a.unknown, a.reply
		k.mu.Lock()
		k.ops = append(k.ops, porcupine.Operation{ClientId: number, Input: op, Call: op.call, Return: op.ret})
		k.mu.Unlock()
	}
}

// history is what happened to the key.
func (k *register) history() []porcupine.Operation {
	end := &valueOp{command: []string{"END"}, ret: never}
	for _, op := range k.ops {
		if op.Return != never {
			end.call = max(end.call, op.Return+1)
		}
	}
	return append(k.ops, porcupine.Operation{Input: end, Call: end.call, Return: end.ret})
}

// args is the command as it goes to the server.
func (o *valueOp) args(key string) []string {
	name, rest := o.command[0], o.command[1:]
	ttl := millis(time.Duration(o.ttl))
	var args []string
	switch name {
	case "PUTTEMP":
		args = []string{"DTKV.PUTTEMP", key, ttl, rest[0]}
	case "UPDATETTL":
		args = []string{"DTKV.UPDATETTL", key, ttl}
	case "CAS", "REMOVE":
		args = append([]string{"DTKV." + name, key}, rest...)
	default:
		args = append([]string{name, key}, rest...)
		if o.ttl != 0 {
			args = append(args, "PX", ttl)
		}
	}
	if o.owner != "" {
		args = append(args, "OWNER", o.owner)
	}
	return args
}
