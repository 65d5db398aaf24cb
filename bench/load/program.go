package load

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// Report is what a measuring program has found. Its exported fields are what the JSON holds.
type Report interface {
	Print(io.Writer) error // for people
	Met() bool             // everything reached what docs/testing.md says it must
}

// Measure takes a measurement with servers whose data lies in dir, and shows its progress.
type Measure func(ctx context.Context, dir string, progress *Progress) (Report, error)

// Main is what a measuring program does once its flags are read, with the error of that if there was one: it measures,
// prints and saves. It ends the program when something is wrong.
func (s *Setup) Main(parsed error, measure Measure) {
	switch {
	case errors.Is(parsed, flag.ErrHelp):
		return
	case parsed != nil:
		os.Exit(2) // The reason has been printed.
	}
	if err := s.run(measure); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
		os.Exit(1)
	}
}

// Refuse prints what the flags of a program must be, and returns it.
func (s *Setup) Refuse(want string) error {
	fmt.Fprintf(os.Stderr, "%s: %s\n", s.name, want)
	return errors.New(want)
}

func (s *Setup) run(measure Measure) error {
	return s.inFolder(func(ctx context.Context, dir string) error {
		progress := NewProgress()
		r, err := measure(ctx, dir, progress)
		progress.Clear()
		if err != nil {
			return err
		}
		if err := r.Print(os.Stdout); err != nil {
			return err
		}
		path, err := save(s.Out, s.name, r)
		if err != nil {
			return err
		}
		fmt.Println("saved:", path)
		if s.strict && !r.Met() {
			return errors.New("something misses what it must reach")
		}
		return nil
	})
}
