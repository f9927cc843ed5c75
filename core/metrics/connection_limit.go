package metrics

import (
	"net"
	"sync"
)

// limitedListener accepts no more connections at a time than it has slots: file
// descriptors are the bus's too.
type limitedListener struct {
	net.Listener
	slots chan struct{}
}

func limit(l net.Listener, most int) net.Listener {
	return limitedListener{l, make(chan struct{}, most)}
}

// Accept closes a connection that finds no slot.
func (l limitedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &limitedConn{Conn: c, leave: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			_ = c.Close() // it got nothing, and may come again
		}
	}
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
