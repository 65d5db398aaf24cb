package replica

import "net"

// rawListener accepts streams that are read and written as [newRawConn] says.
type rawListener struct{ net.Listener }

// Accept implements net.Listener.
func (l rawListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newRawConn(conn), nil
}
