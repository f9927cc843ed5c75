package request

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/binding"
)

// ClientConfig is what a Client needs. Conn and Identity are required.
type ClientConfig struct {
	Conn       *nats.Conn
	Identity   auth.Signer      // the one that Conn was made with
	ClusterKey string           // the public key that the cluster must prove; "" takes the one that it proves first
	Now        func() time.Time // the clock that requests are signed by; nil: time.Now
	// Request sends a message and waits for the answer; nil: Conn does.
	Request func(ctx context.Context, msg *nats.Msg) (*nats.Msg, error)
}

// Client sends requests over one connection. Safe for use by several goroutines.
type Client struct {
	cfg  ClientConfig
	bind *binding.Binding
}

// Message is a request that is to be sent.
type Message struct {
	Subject string
	Body    []byte
	Signed  bool
	// Prove has the cluster prove its key, and is called where it has not in the present
	// session. nil: the message is sent without a proof, as the request for the proof is.
	Prove func(ctx context.Context) error
}

// NewClient does no I/O.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Request == nil {
		cfg.Request = cfg.Conn.RequestMsgWithContext
	}
	return &Client{cfg: cfg, bind: binding.New(cfg.Conn, cfg.Identity, cfg.ClusterKey)}
}

// Identify has the cluster prove its key over this connection: see binding.Binding.Prove.
func (c *Client) Identify(ctx context.Context, ask func(context.Context, binding.Request) (binding.Proof, error)) error {
	return c.bind.Prove(ctx, ask)
}

// Proven says whether the cluster proved its key in the present session.
func (c *Client) Proven() bool { return c.bind.Proven() }

// ClusterKey is the cluster's public key: the pinned one, or the one that was proven; "" before.
func (c *Client) ClusterKey() string { return c.bind.Key() }

// Send sends a message and returns the answer. Nothing is sent before the cluster
// has proven its key, and no answer counts that came in another session.
func (c *Client) Send(ctx context.Context, m Message) (*nats.Msg, error) {
	if most := c.cfg.Conn.MaxPayload(); most > 0 && int64(len(m.Body)) > most {
		return nil, TooLarge("the request", len(m.Body), int(most))
	}
	return c.bind.Within(func() (*nats.Msg, error) {
		msg := nats.NewMsg(m.Subject)
		msg.Data = m.Body
		if m.Prove != nil && !c.bind.Proven() {
			if err := m.Prove(ctx); err != nil {
				return nil, err
			}
		}
		if m.Signed {
			if err := c.bind.Sign(msg, c.cfg.Now()); err != nil {
				return nil, err
			}
		}
		return c.cfg.Request(ctx, msg)
	})
}

// TooLarge says that something has more bytes than it may have.
func TooLarge(what string, n, most int) *core.Error {
	return core.Errorf(core.KindInvalid, "%s has %d bytes, and may have %d", what, n, most)
}

// Unanswered says in words why a request for a verb has no answer, and the outcome of
// one that acts: core.OutcomeNone if it was not sent, else core.OutcomeUnknown.
func Unanswered(verb string, acts bool, err error) error {
	var e *core.Error
	switch {
	case errors.As(err, &e):
		return notSent(err, e)
	case errors.Is(err, nats.ErrNoResponders):
		e = core.Errorf(core.KindUnavailable, "no node that can be reached serves the control plane; %s was not done", verb).WithOutcome(core.OutcomeNone)
		e.Err = err // a client may ask in another way
		return e.WithNext("`unibus-tui status` says why; try again")
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed):
		return core.Errorf(core.KindUnavailable, "the connection is down: %s was not sent", verb).WithOutcome(core.OutcomeNone).
			WithNext("see that unibusd runs on the nodes; try again once the connection is back")
	case errors.Is(err, nats.ErrMaxPayload):
		return core.Errorf(core.KindInvalid, "the request %s is too large for a message", verb).WithNext("send it in parts")
	case errors.Is(err, nats.ErrConnectionReconnecting):
		e = core.Errorf(core.KindUnavailable, "the answer to %s was dropped: the connection was renewed, and the new server had proven nothing", verb)
	default:
		e = core.Errorf(core.KindUnavailable, "no answer to %s in time", verb)
		e.Err = err
	}
	if acts {
		return e.WithOutcome(core.OutcomeUnknown).WithNext(NextUnknown)
	}
	return e.WithNext("ask again")
}

// NextUnknown is the next step after a request that may have taken effect.
const NextUnknown = "whether it took effect is not known: look before you try again"

// notSent is an error from before the request was sent.
func notSent(err error, e *core.Error) error {
	if e.Kind != core.KindUnavailable || e.Outcome != "" {
		return err
	}
	out := core.AsError(err).WithOutcome(core.OutcomeNone)
	out.Err = err
	return out
}

// Repetition is how often a request is sent, each time as a new one.
type Repetition struct {
	Idempotent bool          // it has the same result when it is done twice
	Within     time.Duration // no repetition begins later than that

	// Passing says whether the cause of an error ends by itself. While it is true, a request
	// that may be repeated is sent again for Patience. nil: it never does.
	Passing func(context.Context) bool
}

// Patience bounds the repetitions of a request while the nodes elect a leader. A killed
// leader is missed for up to 10 s, and an election takes 4 to 9 s more at the worst.
const Patience = 20 * time.Second

const (
	repeatTries = 4
	repeatPause = 150 * time.Millisecond
)

// Do sends a request by send, and again where an answer says that nothing was done. One
// that is idempotent is also sent again where it is unknown whether it was done. A
// request that was not sent at all is not repeated: send has tried that. KindExists after
// a try whose outcome is unknown is OutcomeUnknown: that try may have created it.
func (r Repetition) Do(ctx context.Context, send func(context.Context) (answered bool, err error)) error {
	began, unknown := time.Now(), false
	for try := 1; ; try++ {
		answered, err := send(ctx)
		if unknown && core.KindOf(err) == core.KindExists {
			return core.AsError(err).WithOutcome(core.OutcomeUnknown)
		}
		unknown = unknown || core.OutcomeOf(err) == core.OutcomeUnknown
		if !r.repeats(answered || unknown, err) || time.Since(began) >= Patience {
			return ofAll(err, unknown)
		}
		if (try >= repeatTries || time.Since(began) >= r.Within) && !r.passes(ctx) {
			return ofAll(err, unknown)
		}
		select {
		case <-ctx.Done():
			return ofAll(err, unknown)
		case <-time.After(repeatPause):
		}
	}
}

// ofAll is the error of the last try as that of all of them: nothing was done by the last,
// and the one before it may have done it.
func ofAll(last error, unknown bool) error {
	if !unknown || core.OutcomeOf(last) != core.OutcomeNone {
		return last
	}
	e := core.AsError(last).WithOutcome(core.OutcomeUnknown)
	e.Err = last
	return e
}

const readBackPause = 250 * time.Millisecond

// ReadBack finds out by look what became of an act whose outcome is unknown, and looks
// again while no node answers, for Patience. It returns unknown where none does.
func ReadBack[T any](ctx context.Context, unknown error, look func(context.Context) (T, error)) (T, error) {
	for began := time.Now(); ; {
		out, err := look(ctx)
		if core.KindOf(err) != core.KindUnavailable || core.OutcomeOf(err) == core.OutcomeUnknown {
			return out, err
		}
		if time.Since(began) >= Patience {
			return out, unknown
		}
		select {
		case <-ctx.Done():
			return out, unknown
		case <-time.After(readBackPause):
		}
	}
}

// Resolve is the result of an act, or that of look if it is not known whether the act
// was done. KindUnavailable where it was not, with the state that is in its place.
func Resolve[T any](ctx context.Context, out T, err error, look func(context.Context) (T, error), inForce func(T) bool, state func(T) string) (T, error) {
	if core.OutcomeOf(err) != core.OutcomeUnknown {
		return out, err
	}
	is, e := ReadBack(ctx, err, look)
	if e != nil || inForce(is) {
		return is, e
	}
	return out, core.Errorf(core.KindUnavailable, "%s; it was not done when the state was read back: %s", core.AsError(err).Text, state(is)).
		WithOutcome(core.OutcomeNone).WithNext("run it again")
}

func (r Repetition) passes(ctx context.Context) bool {
	return r.Passing != nil && ctx.Err() == nil && r.Passing(ctx)
}

func (r Repetition) repeats(reached bool, err error) bool {
	if core.KindOf(err) != core.KindUnavailable {
		return false
	}
	switch core.OutcomeOf(err) {
	case core.OutcomeNone:
		return reached
	case core.OutcomeUnknown:
		return r.Idempotent
	}
	return false
}
