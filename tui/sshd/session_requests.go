package sshd

import (
	"slices"
	"strings"
	"sync"

	gossh "golang.org/x/crypto/ssh"
)

// Bounds of what a client may ask for.
const (
	maxRequest             = 4096 // bytes of a command, or of a terminal's description
	maxVariable            = 64
	maxWidth, maxHeight    = 500, 250
	usualWidth, usualLines = 80, 24
	fallbackTerminal       = "xterm-256color"
)

// sessionRequests are what a client asked for in its session: terminal, size and environment.
type sessionRequests struct {
	mu            sync.Mutex
	terminal      string
	width, height int
	environment   []string
	resized       chan struct{} // holds one where the size changed
}

// handle looks at one request. forward: the library handles it. Otherwise ok is the answer. Every other
// request is refused: agents, X11, subsystems such as sftp, and new requests of a later version of the
// library. A change of size and a signal never reach the library: its loop waits for a reader of each.
func (r *sessionRequests) handle(req *gossh.Request) (forward, ok bool) {
	if len(req.Payload) > maxRequest {
		return false, false
	}
	switch req.Type {
	case "pty-req":
		return r.setTerminal(req.Payload), false
	case "shell", "exec":
		return true, false
	case "env":
		return false, r.setVariable(req.Payload)
	case "window-change":
		var size struct{ Width, Height, PixelWidth, PixelHeight uint32 }
		if gossh.Unmarshal(req.Payload, &size) != nil {
			return false, false
		}
		r.setSize(size.Width, size.Height)
		return false, true
	}
	return false, false
}

func (r *sessionRequests) setTerminal(payload []byte) bool {
	var t struct {
		Name                                   string
		Width, Height, PixelWidth, PixelHeight uint32
		Modes                                  string
	}
	if gossh.Unmarshal(payload, &t) != nil {
		return false
	}
	r.mu.Lock()
	r.terminal = fallbackTerminal
	if isPlainName(t.Name) {
		r.terminal = t.Name
	}
	r.mu.Unlock()
	r.setSize(t.Width, t.Height)
	return true
}

func (r *sessionRequests) setSize(width, height uint32) {
	r.mu.Lock()
	r.width, r.height = bounded(width, usualWidth, maxWidth), bounded(height, usualLines, maxHeight)
	r.mu.Unlock()
	select {
	case r.resized <- struct{}{}:
	default: // the reader takes the newest size
	}
}

func bounded(n uint32, usual, most int) int {
	if n == 0 {
		return usual
	}
	return int(min(n, uint32(most))) //nolint:gosec // most is a small constant
}

// setVariable takes the few variables that say how to draw.
func (r *sessionRequests) setVariable(payload []byte) bool {
	var v struct{ Name, Value string }
	if gossh.Unmarshal(payload, &v) != nil || len(v.Value) > maxVariable || !isPlainName(v.Value) ||
		!slices.Contains([]string{"LANG", "LC_ALL", "LC_CTYPE", "COLORTERM", "NO_COLOR"}, v.Name) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.environment = slices.DeleteFunc(r.environment, func(old string) bool { return strings.HasPrefix(old, v.Name+"=") })
	r.environment = append(r.environment, v.Name+"="+v.Value)
	return true
}

// isPlainName is true for a terminal's name and for a locale, and for nothing that a terminal would obey.
func isPlainName(s string) bool {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-+._@", r)
	}
	return s != "" && len(s) <= maxVariable && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) })
}

// view is the terminal as it is now.
func (r *sessionRequests) view() (environment []string, width, height int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	environment = append(slices.Clone(r.environment), "TERM="+r.terminal)
	if !slices.ContainsFunc(r.environment, func(v string) bool { return strings.HasPrefix(v, "LANG=") || strings.HasPrefix(v, "LC_") }) {
		environment = append(environment, "LANG=C.UTF-8") // a client that sends no locale is nearly always in one of UTF-8
	}
	return environment, r.width, r.height
}

// filteredChannel is a session whose requests pass sessionRequests first.
type filteredChannel struct {
	gossh.NewChannel
	requests *sessionRequests
	noteKey  func()
}

// Accept accepts the channel.
func (f filteredChannel) Accept() (gossh.Channel, <-chan *gossh.Request, error) {
	ch, in, err := f.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	out := make(chan *gossh.Request)
	go func() {
		defer close(out)
		for req := range in {
			if forward, ok := f.requests.handle(req); forward {
				out <- req
			} else if req.WantReply {
				_ = req.Reply(ok, nil)
			}
		}
	}()
	return notedInput{ch, f.noteKey}, out, nil
}

// notedInput notes when something was read: that is when a person was there last.
type notedInput struct {
	gossh.Channel
	note func()
}

// Read reads what was typed.
func (n notedInput) Read(p []byte) (int, error) {
	count, err := n.Channel.Read(p)
	if count > 0 {
		n.note()
	}
	return count, err
}
