package replica

import (
	"crypto/tls"
	"net"
)

// encrypted is a stream over TLS that closes at once: to say goodbye could take seconds, and no stream ends without saying
// so in its own words.
type encrypted struct{ *tls.Conn }

// Close implements net.Conn.
func (e encrypted) Close() error { return e.NetConn().Close() }

// encryptedListener accepts such streams. They are encrypted by whoever reads them first.
type encryptedListener struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener.
func (l encryptedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return encrypted{tls.Server(conn, l.config)}, nil
}
