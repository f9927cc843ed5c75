package auth

import (
	"context"
	"strings"
	"sync"
	"time"

	"unibus/core"
)

// Window is how far apart the sender's clock and the node's may be.
const Window = time.Minute

// NonceLife is how long a nonce is remembered: both sides of the window, and as
// much again for clocks of nodes that differ among themselves.
const NonceLife = 3 * Window

// Nonces remembers used nonces for NonceLife. Create is KindExists where the key
// was used before, on any node, and KindUnavailable where that cannot be
// determined.
type Nonces interface {
	Create(ctx context.Context, key string) error
}

// Replay lets each signed request through once.
type Replay struct {
	Node             string                    // named in refusals
	Cluster          func() string             // the cluster's public key; "" while this node does not know it
	Await            func(ctx context.Context) // waits some time until it knows the key; nil: no wait
	IsClusterChannel func(Channel) bool        // true for a channel of this cluster's nodes
	Nonces           Nonces                    // of the whole cluster; nil on a node alone
	Own              *Memory                   // of this node, since its start
	Now              func() time.Time
}

// Admit is nil where a request under a key may be acted on: what Begin and its Once say.
func (r *Replay) Admit(ctx context.Context, key, subject string, headers map[string][]string, body []byte, restores bool) error {
	once, err := r.Begin(ctx, key, subject, headers, body, restores)
	if err != nil {
		return err
	}
	return once(ctx)
}

// Once lets a request through that no node has acted on, one time in the whole cluster.
// Without a quorum the node cannot determine whether another one has acted on it: then
// only a request that restores the quorum goes on. KindRefused for one that was used
// before, KindUnavailable where that is unknown: OutcomeNone, so the caller may sign it anew.
type Once func(context.Context) error

// Begin checks the signature of a request, and that this node has not acted on it; nothing
// may be done before Once has said that no other one has. KindRefused for a wrong
// signature, a clock out of the window or a request that was used before, KindInvalid for
// headers that cannot be read. A key with very many requests is KindRefused for a while,
// and no other key is.
func (r *Replay) Begin(ctx context.Context, key, subject string, headers map[string][]string, body []byte, restores bool) (Once, error) {
	if r.Cluster() == "" && r.Await != nil {
		r.Await(ctx)
	}
	known := r.Cluster() != ""
	s, err := r.signed(key, subject, headers, body)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, core.Errorf(core.KindUnavailable, "nothing was done: %s does not know the cluster's key yet", r.Node).WithOutcome(core.OutcomeNone).
			WithNext("wait for a majority of the nodes; `unibus-tui status` names the missing nodes")
	}
	used := key + "." + s.Nonce
	if err := r.Own.Create(ctx, used); core.KindOf(err) == core.KindExists {
		return nil, r.refuse(err)
	} else if err != nil { // the memory of this key, or of all, is full
		return nil, err
	}
	return func(ctx context.Context) error {
		if r.Nonces == nil {
			return r.sinceStart(s.At)
		}
		err := r.Nonces.Create(ctx, used)
		if restores && core.KindOf(err) == core.KindUnavailable {
			return r.sinceStart(s.At)
		}
		return r.refuse(err)
	}, nil
}

// Check is nil where a request that changes nothing may be answered. It has to be
// signed for this cluster and connection, so that a relayed login reads nothing,
// and may be repeated within the window. A node that does not know the cluster's
// key yet answers any request: operators must see why. Errors are Admit's.
func (r *Replay) Check(key, subject string, headers map[string][]string, body []byte) error {
	_, err := r.signed(key, subject, headers, body)
	return err
}

// signed reads the signature of a request and checks everything except whether it
// is new.
func (r *Replay) signed(key, subject string, headers map[string][]string, body []byte) (Signed, error) {
	s, signature, err := FromHeaders(headers, r.Cluster(), subject, body)
	if err != nil {
		return Signed{}, err
	}
	if err := Verify(key, s, signature); err != nil {
		return Signed{}, err
	}
	if !r.IsClusterChannel(s.Channel) {
		return Signed{}, foreignChannel()
	}
	return s, r.inWindow(s.At)
}

func (r *Replay) inWindow(at core.Millis) error {
	now := r.Now()
	apart := now.Sub(at.Time()).Abs()
	if apart <= Window {
		return nil
	}
	return core.Errorf(core.KindRefused, "the request was signed at %s by the sender's clock, and the clock of %s shows %s: they are %s apart, and may be %s",
		clock(at.Time()), r.Node, clock(now), apart.Round(time.Second), Window).
		WithNext("set the clock that is wrong (`timedatectl` shows whether it is synchronized), and send it again")
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// sinceStart refuses requests that are older than the memory of this process.
func (r *Replay) sinceStart(at core.Millis) error {
	if at.Time().Before(r.Own.since.Truncate(time.Millisecond)) {
		return core.Errorf(core.KindUnavailable, "the request was signed at %s, before %s started: it may have been used before the start", clock(at.Time()), r.Node).WithOutcome(core.OutcomeNone).
			WithNext("send it again; where that does not help within a minute, compare the clocks")
	}
	return nil
}

func (r *Replay) refuse(err error) error {
	switch core.KindOf(err) {
	case "":
		return nil
	case core.KindExists:
		return core.Errorf(core.KindRefused, "this request was used before, and %s does not act on it again", r.Node).
			WithNext("if you did not send it twice, it was captured: see `unibusd audit`, and change the operator's key")
	case core.KindUnavailable:
		return core.Errorf(core.KindUnavailable, "nothing was done: %s cannot determine whether the request was used before: %w", r.Node, err).WithOutcome(core.OutcomeNone).
			WithNext("run it again; if that does not help, start the missing nodes: `unibus-tui status`")
	}
	return err
}

// Memory is Nonces in one process. Entries are counted by the key before the first
// dot, so that one key cannot use up the space of others.
type Memory struct {
	since time.Time
	now   func() time.Time

	mu    sync.Mutex
	used  map[string]time.Time
	count map[string]int // of used, by key
	next  time.Time      // when old entries are dropped next
}

// MaxRequestsOfKey is how many signed requests one key may send to a node within NonceLife:
// some 55 a second without end.
const MaxRequestsOfKey = 10_000

// maxRemembered bounds a memory: it takes twenty such keys to fill it.
const maxRemembered = 20 * MaxRequestsOfKey

// NewMemory remembers from now on.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{since: now(), now: now, used: map[string]time.Time{}, count: map[string]int{}}
}

// Create remembers a key. KindExists, KindRefused where this key has too many,
// KindUnavailable where all together have.
func (m *Memory) Create(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if now.After(m.next) {
		m.forget(now)
	}
	if _, ok := m.used[key]; ok {
		return core.Errorf(core.KindExists, "this nonce was used")
	}
	of := keyOf(key)
	switch {
	case m.count[of] >= MaxRequestsOfKey:
		return core.Errorf(core.KindRefused, "nothing was done: %s has sent %d signed requests within %s, and no key may send more", core.UserID(of).Short(), MaxRequestsOfKey, NonceLife).
			WithNext("wait a minute or two, and send fewer")
	case len(m.used) >= maxRemembered:
		return core.Errorf(core.KindUnavailable, "nothing was done: this node was sent %d signed requests within %s, and accepts no more", maxRemembered, NonceLife).
			WithNext("try again in a minute, or at another node")
	}
	m.used[key] = now
	m.count[of]++
	return nil
}

// forget drops entries that are older than every window. The caller holds mu.
func (m *Memory) forget(now time.Time) {
	for key, at := range m.used {
		if now.Sub(at) <= NonceLife {
			continue
		}
		delete(m.used, key)
		of := keyOf(key)
		if m.count[of]--; m.count[of] == 0 {
			delete(m.count, of)
		}
	}
	m.next = now.Add(Window / 6)
}

// keyOf is the public key in a remembered nonce.
func keyOf(used string) string {
	key, _, _ := strings.Cut(used, ".")
	return key
}
