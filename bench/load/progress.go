package load

import (
	"fmt"
	"os"
	"strings"
)

// Progress tells a person on standard error what is going on: one line that changes on a terminal, and one line per
// finished step in a pipe.
type Progress struct {
	terminal bool
	width    int // of the line on the terminal that must be wiped
}

// NewProgress looks at standard error once.
func NewProgress() *Progress {
	info, err := os.Stderr.Stat()
	return &Progress{terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// Doing shows what has begun. In a pipe it prints nothing.
func (p *Progress) Doing(format string, args ...any) {
	if !p.terminal {
		return
	}
	line := fmt.Sprintf(format, args...)
	fmt.Fprintf(os.Stderr, "\r%s%s", line, strings.Repeat(" ", max(0, p.width-len(line))))
	p.width = len(line)
}

// Did says that a step is over. On a terminal it prints nothing, since the next step takes the line.
func (p *Progress) Did(format string, args ...any) {
	if !p.terminal {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

// Clear wipes the line, so that what follows begins at its start.
func (p *Progress) Clear() {
	if p.terminal {
		p.Doing("")
		fmt.Fprint(os.Stderr, "\r")
	}
}
