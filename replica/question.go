package replica

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// Questions are what nodes ask each other seldom: a stream of its own, one line of JSON there and one back. What nodes send
// each other all the time goes over streams that stay.
const (
	useChange = "change" // make a change of membership, if you lead
	useOrder  = "order"  // let the leader make a change of membership

	questionLimit = 64 << 10 // bytes of a question or an answer
	questionTime  = 30 * time.Second
)

// responder answers one kind of question. What it returns is sent as JSON.
type responder func(ctx context.Context, from hello, question []byte) any

// responder lets questions of one kind in.
func (p *peerListener) responder(fn responder) door {
	return door{accept: func(conn net.Conn, h hello) {
		if err := p.respond(conn, h, fn); err != nil {
			p.logger.Debug("a question was not answered", "remote", conn.RemoteAddr().String(), "error", err)
		}
	}}
}

// respond reads a question and answers it.
func (p *peerListener) respond(conn net.Conn, h hello, fn responder) error {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(p.ctx, questionTime)
	defer cancel()
	defer context.AfterFunc(p.ctx, func() { conn.Close() })()
	conn.SetDeadline(time.Now().Add(helloTimeout))
	question, err := readLine(conn, questionLimit)
	if err != nil {
		return err
	}
	line, err := json.Marshal(fn(ctx, h, question))
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(helloTimeout))
	_, err = conn.Write(append(line, '\n'))
	return err
}

// ask puts a question to another node. sent says whether the node may have read it.
func (g *Group) ask(ctx context.Context, to raft.Server, use string, question, answer any) (sent bool, err error) {
	return g.node.ask(ctx, to, g.place, use, question, answer)
}

// ask puts a question to a node that holds a group.
func (n *Node) ask(ctx context.Context, to raft.Server, group place, use string, question, answer any) (sent bool, err error) {
	return putQuestion(ctx, n.cfg.dial, string(to.Address), n.hello(string(to.ID), group, use), question, answer)
}

func putQuestion(ctx context.Context, dial dialer, address string, h hello, question, answer any) (sent bool, err error) {
	line, err := json.Marshal(question)
	if err != nil {
		return false, err
	}
	wait := helloTimeout
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	conn, err := dialPeer(dial, address, h, max(wait, time.Millisecond))
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	conn.SetDeadline(time.Now().Add(questionTime))
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return true, err
	}
	reply, err := readLine(conn, questionLimit)
	if err != nil {
		return true, err
	}
	return true, json.Unmarshal(reply, answer)
}

// outcome is the answer to a change.
type outcome struct {
	Verdict string `json:"verdict"` // see outcomes; empty: done
	Text    string `json:"text,omitempty"`
	Index   uint64 `json:"index,omitempty"` // of a configuration that has the change
}

// outcomes are the verdicts that travel. One that is not listed is ErrInDoubt.
var outcomes = []struct {
	word string
	err  error
}{
	{"moved", errMoved},
	{"noleader", ErrNoLeader},
	{"closed", ErrNoLeader}, // that node stops; another one will lead
}

// askChange lets the leader make a change.
func (g *Group) askChange(ctx context.Context, leader raft.Server, c change) (index uint64, err error) {
	var o outcome
	sent, err := g.ask(ctx, leader, useChange, c, &o)
	switch {
	case err != nil && sent:
		return 0, fmt.Errorf("%w: %w", ErrInDoubt, err)
	case err != nil:
		return 0, fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	return o.Index, o.error()
}

func (o outcome) error() error {
	switch o.Verdict {
	case "":
		return nil
	case "refused":
		return &Refusal{o.Text}
	}
	for _, known := range outcomes {
		if known.word == o.Verdict {
			return known.err
		}
	}
	return fmt.Errorf("%w: %s", ErrInDoubt, o.Text)
}

func outcomeOf(index uint64, err error) outcome {
	var refusal *Refusal
	switch {
	case err == nil:
		return outcome{Index: index}
	case errors.As(err, &refusal):
		return outcome{Verdict: "refused", Text: refusal.Text}
	case errors.Is(err, ErrClosed):
		return outcome{Verdict: "closed"}
	}
	for _, known := range outcomes {
		if errors.Is(err, known.err) {
			return outcome{Verdict: known.word, Text: err.Error()}
		}
	}
	return outcome{Verdict: "indoubt", Text: err.Error()}
}

// answerChange makes a change that another node asks for.
func (g *Group) answerChange(ctx context.Context, _ hello, question []byte) any {
	var c change
	if err := json.Unmarshal(question, &c); err != nil {
		return outcomeOf(0, refuse("not a change of membership: %v", err))
	}
	if err := c.check(); err != nil {
		return outcomeOf(0, err)
	}
	if !g.leads(g.ready.Load()) {
		return outcomeOf(0, ErrNoLeader)
	}
	return outcomeOf(g.changeWhere(ctx, c))
}

// answerOrder makes a change that a node asks for that does not hold the group.
func (g *Group) answerOrder(ctx context.Context, _ hello, question []byte) any {
	var c change
	if err := json.Unmarshal(question, &c); err != nil {
		return outcomeOf(0, refuse("not a change of membership: %v", err))
	}
	return outcomeOf(g.change(ctx, c))
}
