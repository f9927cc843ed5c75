package sshd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/ssh"
	"github.com/charmbracelet/colorprofile"
	gossh "golang.org/x/crypto/ssh"

	"unibus/core"
	"unibus/tui"
)

// exitEnded is the exit code of a session that the server ended.
const exitEnded = 4

// handleChannel opens the one session of a connection. Everything ends with it, so that no connection
// outlives what it was for.
func (s *Server) handleChannel(srv *ssh.Server, conn *gossh.ServerConn, channel gossh.NewChannel, ctx ssh.Context) { //nolint:revive // the library's order of parameters
	c := connectionOf(ctx)
	key, _ := ctx.Value(ssh.ContextKeyPublicKey).(ssh.PublicKey)
	op, ok := s.operators.ofKey(key, time.Now())
	if !ok { // removed since the login
		_ = channel.Reject(gossh.Prohibited, "the nodes do not admit this key any more")
		return // the client closes: if the server did, the reason might be lost on the way
	}
	if refusal := s.connections.beginSession(c, op, key); refusal != nil {
		_ = channel.Reject(gossh.ResourceShortage, refusal.Text+": "+refusal.Next)
		return
	}
	defer func() { _ = conn.Close() }()
	go s.keepAlive(ctx, conn)
	ssh.DefaultSessionHandler(srv, conn, filteredChannel{channel, &c.requests, c.noteInput}, ctx)
}

// keepAlive closes the connection if the client does not answer: a link that is cut sends no end.
func (s *Server) keepAlive(ctx context.Context, conn *gossh.ServerConn) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.cfg.KeepAlive):
		}
		lost := time.AfterFunc(s.cfg.KeepAlive, func() { _ = conn.Close() })
		_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
		lost.Stop()
		if err != nil {
			return
		}
	}
}

// handleSession is a console, or one command.
func (s *Server) handleSession(sess ssh.Session) {
	c := connectionOf(sess.Context())
	defer c.ended()
	c.mu.Lock()
	op := c.operator
	c.mu.Unlock()
	log := s.cfg.Log.With("operator", op.Name, "key", op.Key, "address", c.address)
	log.Info("a session began", "command", core.SummaryWord(sess.RawCommand()), "client", sess.Context().ClientVersion())
	began := time.Now()
	code := s.serveSession(sess, c, op)
	log.Info("a session ended", "code", code, "after", time.Since(began).Round(time.Millisecond))
	_ = sess.Exit(code)
}

func (s *Server) serveSession(sess ssh.Session, c *connection, op core.Operator) int {
	client := &personClient{sharedClient: s.client, operator: op}
	args := sess.Command()
	_, _, hasTerminal := sess.Pty()
	switch {
	case sess.RawCommand() != "":
		return runCommand(sess.Context(), client, args, sess, sess.Stderr())
	case !hasTerminal:
		_, _ = fmt.Fprintln(sess.Stderr(), "unibus: not a terminal, printing the status as text; for the console use `ssh -t`")
		return runCommand(sess.Context(), client, []string{"status"}, sess, sess.Stderr())
	}
	s.runConsole(sess, c, client)
	reason := c.endReason()
	if reason == nil {
		return 0
	}
	_, _ = fmt.Fprintf(sess.Stderr(), "%s; %s\n", reason.Text, reason.Next)
	return exitEnded
}

// runConsole runs until the person quits, the connection is gone or the session shall end. Output
// that this terminal does not read blocks its own goroutine and nothing else.
func (s *Server) runConsole(sess ssh.Session, c *connection, client tui.Client) {
	ctx, cancel := context.WithCancel(sess.Context())
	defer cancel()
	environment, width, height := c.requests.view()
	m, p := tui.Program(ctx, tui.Config{Client: client, ReadOnly: true, Remote: true, NoFiles: true, Version: s.cfg.Version},
		tea.WithInput(sess), tea.WithOutput(sess), tea.WithWindowSize(width, height), tea.WithEnvironment(environment),
		tea.WithColorProfile(colorprofile.Env(environment)), tea.WithoutSignalHandler())
	go m.Feed().Run(ctx)
	go c.requests.forwardSizes(ctx, p)
	go func() {
		select {
		case <-ctx.Done():
		case <-c.end:
			p.Quit()
		}
	}()
	if _, err := p.Run(); err != nil && ctx.Err() == nil {
		s.cfg.Log.Error("a console stopped", "err", err)
	}
}

func (r *sessionRequests) forwardSizes(ctx context.Context, p *tea.Program) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.resized:
		}
		_, width, height := r.view()
		p.Send(tea.WindowSizeMsg{Width: width, Height: height})
	}
}

// refusedLogins counts connections that did not log in, so that a flood is one line a second.
type refusedLogins struct {
	mu      sync.Mutex
	count   int
	address string
	last    error
}

func (r *refusedLogins) note(from net.Addr, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	r.address, r.last = hostOf(from), err
}

func (r *refusedLogins) log(log *slog.Logger) {
	r.mu.Lock()
	count, address, last := r.count, r.address, r.last
	r.count = 0
	r.mu.Unlock()
	if count > 0 {
		log.Info("connections did not log in", "count", count, "last_address", address, "last_reason", last)
	}
}
