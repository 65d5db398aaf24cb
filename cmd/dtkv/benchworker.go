package main

import (
	"errors"
	"strconv"
	"time"
)

// benchWorker is one client of a bench. It connects when it has to, and again when its connection broke.
type benchWorker struct {
	*bench
	load string
	last int // of the keys
	c    *client
	held string // its lock
}

// reconnectPause keeps a client that is not let in from asking without end.
const reconnectPause = 50 * time.Millisecond

// turn sends the next requests and waits for their answers. It returns how many were answered well, how many were not, and one of
// the errors.
func (w *benchWorker) turn() (answered, failed int, err error) {
	if w.c == nil {
		if w.c, err = w.ask(w.addr); err != nil {
			time.Sleep(reconnectPause)
			return 0, 1, err
		}
	}
	if w.load == "lock" {
		answered, failed, err = w.pair()
	} else {
		answered, failed, err = w.values()
	}
	var said errReply
	if err != nil && !errors.As(err, &said) {
		w.end() // the connection is of no use any more
	}
	return answered, failed, err
}

// values sends a pipeline of SETs or GETs.
func (w *benchWorker) values() (answered, failed int, err error) {
	commands := make([][]string, w.pipeline)
	for i := range commands {
		w.last++
		commands[i] = []string{"GET", w.key(w.last)}
		if w.load == "set" {
			commands[i] = []string{"SET", w.key(w.last), w.value}
		}
	}
	if err := w.c.sendAll(commands); err != nil {
		return 0, len(commands), err
	}
	for range commands {
		_, one := w.c.reply(0)
		var said errReply
		switch {
		case one == nil:
			answered++
		case errors.As(one, &said):
			failed, err = failed+1, one
		default:
			return answered, len(commands) - answered, one
		}
	}
	return answered, failed, err
}

// pair takes this client's own lock and gives it back.
func (w *benchWorker) pair() (answered, failed int, err error) {
	if w.held == "" {
		w.held = w.dir + ".lock" + strconv.Itoa(w.last)
	}
	if _, err := w.c.do("DTKV.LOCK", w.held, "10000"); err != nil {
		return 0, 1, err
	}
	if _, err := w.c.do("DTKV.UNLOCK", w.held); err != nil {
		return 0, 1, err
	}
	return 1, 0, nil
}

func (w *benchWorker) end() {
	if w.c != nil {
		w.c.close()
		w.c = nil
	}
}
