// Package ttl owns the cluster clock: the time that a leader stamps on log entries and by which keys expire.
//
// The clock proposes; the log disposes. A stamp means something only once its entry is applied, so nothing here
// removes a key. Wall clocks play no part: steps of the system's time move no deadline.
//
// Only package replica may use it.
package ttl

import "time"

// MaxStep is the most that one stamp may lie after the one before it. What a pause of the leader takes beyond it is
// lost for good, so that a stopped process, a suspended machine or a long collection makes keys live longer, never
// shorter.
const MaxStep = time.Second

// Clock turns one leader's monotonic time into cluster time, in milliseconds. It must be Reset to the applied value
// when the leader's term begins. It is not safe for concurrent use: its owner is whoever orders the proposals.
type Clock struct {
	// Now is the monotonic clock to read; time.Now when nil.
	Now func() time.Time

	last int64         // cluster milliseconds of the newest stamp
	at   time.Time     // when that stamp was taken
	part time.Duration // less than a millisecond that no stamp has counted yet
}

// Reset starts the clock at base, the cluster time of the state that this leader took over.
func (c *Clock) Reset(base int64) {
	c.last, c.at, c.part = base, c.now(), 0
}

// Stamp returns the cluster time for the next entry: the stamp before it plus what has passed since, at most MaxStep.
func (c *Clock) Stamp() int64 {
	now, passed := c.passed()
	whole := passed / time.Millisecond
	c.last += int64(whole)
	c.at, c.part = now, passed-whole*time.Millisecond
	return c.last
}

// Peek returns what Stamp would return, and leaves the clock as it is: only what enters the log may be a step.
func (c *Clock) Peek() int64 {
	_, passed := c.passed()
	return c.last + int64(passed/time.Millisecond)
}

func (c *Clock) passed() (now time.Time, d time.Duration) {
	now = c.now()
	return now, min(max(now.Sub(c.at), 0)+c.part, MaxStep)
}

func (c *Clock) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}
