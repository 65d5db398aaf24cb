package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// said is an error reply as go-redis hands it out.
type said string

func (s said) Error() string { return string(s) }
func (said) RedisError()     {}

func TestEveryErrorOfGoRedisHasAVerdict(t *testing.T) {
	for _, test := range []struct {
		name  string
		err   error
		write error
		read  error
	}{
		{"a refusal", said("WRONGTYPE Operation against a key"), ErrRefused, ErrRefused},
		{"a syntax error", said("ERR syntax error"), ErrRefused, ErrRefused},
		{"a missing password", said("NOAUTH Authentication required."), ErrRefused, ErrRefused},
		{"somebody else's node", said("NOTOWNER 'a' has another owner"), ErrRefused, ErrRefused},
		{"too many clients", said("ERR max number of clients reached"), ErrUnavailable, ErrUnavailable},
		{"no leader", said("CLUSTERDOWN no leader is known"), ErrUnavailable, ErrUnavailable},
		{"a full queue", said("TRYAGAIN too many commands are waiting"), ErrUnavailable, ErrUnavailable},
		{"a node that starts", said("LOADING this node is loading its data"), ErrUnavailable, ErrUnavailable},
		{"a redirection", said("MOVED 1 127.0.0.1:7000"), ErrUnavailable, ErrUnavailable},
		{"doubt", said("INDOUBT the write may or may not have been applied"), ErrInDoubt, ErrUnavailable},
		{"a word that nobody listed", said("NEWS from the future"), ErrInDoubt, ErrUnavailable},
		{"a refusal within another error", fmt.Errorf("hook: %w", said("NOPARENT")), ErrRefused, ErrRefused},
		{"a connection that was not made", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, ErrUnavailable, ErrUnavailable},
		{"a name that is not known", &net.DNSError{Err: "no such host"}, ErrUnavailable, ErrUnavailable},
		{"a certificate that is not trusted", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, ErrUnavailable, ErrUnavailable},
		{"a pool without a free connection", redis.ErrPoolTimeout, ErrUnavailable, ErrUnavailable},
		{"a pool without connections", redis.ErrPoolExhausted, ErrUnavailable, ErrUnavailable},
		{"a client that is closed", redis.ErrClosed, ErrRefused, ErrRefused},
		{"the end of the connection", io.EOF, ErrInDoubt, ErrUnavailable},
		{"half a reply", io.ErrUnexpectedEOF, ErrInDoubt, ErrUnavailable},
		{"a read that took too long", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, ErrInDoubt, ErrUnavailable},
		{"a write that took too long", &net.OpError{Op: "write", Err: os.ErrDeadlineExceeded}, ErrInDoubt, ErrUnavailable},
		{"a reset", &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, ErrInDoubt, ErrUnavailable},
		{"a socket closed under the reader", net.ErrClosed, ErrInDoubt, ErrUnavailable},
		{"a deadline", context.DeadlineExceeded, ErrInDoubt, ErrUnavailable},
		{"bytes that are no reply", errors.New("redis: can't parse"), ErrInDoubt, ErrUnavailable},
		{"a hook's own error", errors.New("breaker is open"), ErrInDoubt, ErrUnavailable},
	} {
		for _, kind := range []struct {
			write bool
			want  error
		}{{true, test.write}, {false, test.read}} {
			err := classify("SET k", kind.write, test.err)
			wantVerdict(t, fmt.Sprintf("%s, write %v", test.name, kind.write), err, kind.want)
			if !errors.Is(err, test.err) {
				t.Errorf("%s: %v has lost its cause", test.name, err)
			}
		}
	}
}

// wantVerdict checks that an error is of one verdict and of no other.
func wantVerdict(t *testing.T, name string, err, want error) {
	t.Helper()
	for _, v := range []error{ErrInDoubt, ErrRefused, ErrUnavailable} {
		if errors.Is(err, v) != (v == want) {
			t.Errorf("%s: %v: is %q: %v", name, err, v, errors.Is(err, v))
		}
	}
	if errors.Is(err, ErrNotApplied) != (want == ErrRefused || want == ErrUnavailable) {
		t.Errorf("%s: %v: not applied: %v", name, err, errors.Is(err, ErrNotApplied))
	}
}

func TestWordIsTheServersOwn(t *testing.T) {
	if got := Word(classify("SET a.b", true, said("NOPARENT parent directory 'a' does not exist"))); got != "NOPARENT" {
		t.Errorf("got %q", got)
	}
	if got := Word(classify("SET a.b", true, io.EOF)); got != "" {
		t.Errorf("got %q for what the server did not say", got)
	}
}

// A client that repeats by itself, which go-redis does by default, must not repeat a write.
func TestAWriteIsSentOnceWhateverMaxRetries(t *testing.T) {
	for _, retries := range []int{0, 3, -1} { // 0 means the default of go-redis: 3
		for _, test := range []struct {
			name string
			f    fault
			want error
			runs int
		}{
			{"the connection breaks after it ran", fault{cut: true}, ErrInDoubt, 1},
			{"the connection breaks before it ran", fault{drop: true}, ErrInDoubt, 0},
			{"the server is in doubt", fault{after: "-INDOUBT it may have happened\r\n"}, ErrInDoubt, 1},
			{"the server refuses", fault{reply: "-WRONGTYPE no\r\n"}, ErrRefused, 0},
			{"the server asks to try again", fault{reply: "-TRYAGAIN later\r\n"}, nil, 1},
			{"there is no leader", fault{reply: "-CLUSTERDOWN none\r\n"}, nil, 1},
			{"nothing goes wrong", fault{}, nil, 1},
		} {
			t.Run(fmt.Sprintf("%s, MaxRetries %d", test.name, retries), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake(t)
					c := f.client(Options{}, func(o *redis.Options) { o.MaxRetries = retries })
					f.once("INCR", test.f)
					_, err := c.Do(t.Context(), "INCR", "n")
					if test.want == nil && err != nil {
						t.Errorf("got %v", err)
					} else if test.want != nil {
						wantVerdict(t, test.name, err, test.want)
					}
					if got := len(f.applied("INCR")); got != test.runs {
						t.Errorf("it ran %d times, want %d", got, test.runs)
					}
				})
			})
		}
	}
}

func TestAReadIsRepeated(t *testing.T) {
	for _, test := range []struct {
		name string
		f    fault
	}{
		{"when the connection breaks", fault{cut: true}},
		{"when the server is in doubt", fault{after: "-INDOUBT\r\n"}},
		{"when there is no leader", fault{reply: "-CLUSTERDOWN\r\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				c := f.client(Options{})
				f.values["k"] = "v"
				f.once("GET", test.f)
				if v, err := c.Get(t.Context(), "k"); err != nil || string(v) != "v" {
					t.Errorf("got %q, %v", v, err)
				}
			})
		})
	}
}

func TestRepeatingEndsAfterRetryFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.down = true
		for _, test := range []struct {
			retry time.Duration
			most  time.Duration
		}{{0, 6 * time.Second}, {time.Second, 2 * time.Second}, {-1, 0}} {
			c := f.client(Options{RetryFor: test.retry})
			began := time.Now()
			wantVerdict(t, "a server that is down", c.Set(t.Context(), "k", nil, 0), ErrUnavailable)
			if took := time.Since(began); took > test.most {
				t.Errorf("RetryFor %s took %s", test.retry, took)
			}
		}
	})
}

func TestNewRefusesClientsThatItCannotUse(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{})
	defer func() { _ = ring.Close() }()
	rdb := redis.NewClient(&redis.Options{})
	defer func() { _ = rdb.Close() }()
	for _, test := range []struct {
		name string
		rdb  redis.UniversalClient
		o    Options
	}{
		{"a Ring", ring, Options{}},
		{"a client of a type of its own", struct{ redis.UniversalClient }{rdb}, Options{}},
		{"nothing", nil, Options{}},
		{"a bound below nothing", rdb, Options{MaxPending: -1}},
	} {
		if _, err := New(test.rdb, test.o); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}
