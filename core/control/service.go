package control

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"unibus/core"
)

// Holder publishes the store; *core.StoreHandle is one.
type Holder interface {
	Store() (core.Store, error)
	Watch(func(full bool))
}

// Guard lets each signed request through once; *auth.Replay is one.
type Guard interface {
	Admit(ctx context.Context, key, subject string, headers map[string][]string, body []byte, restores bool) error
}

// Prover proves that this node belongs to the cluster; auth.Prover is one.
type Prover interface {
	Prove(channel, caller, nonce string) (key string, signature []byte, err error)
}

// Config is what the service needs of its node.
type Config struct {
	Conn   *nats.Conn // in BUS, with an identity that may publish to inboxes and rooms' events alone
	Node   string
	Holder Holder
	Guard  Guard // not the operators': users must not be able to fill theirs
	Prover Prover
	Quotas Quotas
	Now    func() core.Millis
	// EndSessions is called once a user has been revoked in the store: it ends the
	// user's sessions everywhere and says what each configured node answered in time.
	EndSessions func(ctx context.Context, u core.User) map[string]Ended
	// Note records what a user-admin did, for the events of every node.
	Note func(by core.UserID, text string)
	Log  *slog.Logger
}

// Service answers users while the node's holder is filled.
type Service struct {
	cfg   Config
	ctx   context.Context // ends with Close; the parent of every request's
	end   context.CancelFunc
	slots chan struct{} // bounds the requests under way

	mu     sync.Mutex
	serves micro.Service
	closed bool
	under  map[string]int // requests under way by caller
	known  callers
	usage  usage
	work   sync.WaitGroup
}

const (
	requestTimeout = 5 * time.Second
	flushTimeout   = 2 * time.Second
	maxUnderWay    = 128
	maxOfOne       = 16 // of one caller: nobody keeps the others out
)

// NewService does no I/O.
func NewService(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Quotas = cfg.Quotas.OrDefaults()
	return &Service{cfg: cfg, slots: make(chan struct{}, maxUnderWay), under: map[string]int{}}
}

// Open serves whenever the holder is filled. It returns at once.
func (s *Service) Open(context.Context) error {
	s.ctx, s.end = context.WithCancel(context.Background())
	s.cfg.Holder.Watch(s.holderChanged)
	return nil
}

// Close stops answering and waits for requests under way. Twice is harmless.
func (s *Service) Close() error {
	s.mu.Lock()
	if s.closed || s.end == nil {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if s.serves != nil {
		_ = s.serves.Stop() // fails where the connection is gone already, and then nothing is left to stop
	}
	s.mu.Unlock()
	s.end()
	s.work.Wait()
	return nil
}

func (s *Service) holderChanged(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || full == (s.serves != nil):
	case full:
		svc, err := s.serve()
		if err != nil {
			s.cfg.Log.Error("the control service cannot be offered to users", "error", err)
			return
		}
		s.serves = svc
	default:
		if err := s.serves.Stop(); err != nil {
			s.cfg.Log.Warn("ending the control service", "error", err)
		}
		s.serves = nil
	}
}

// serve adds the micro service with every method.
func (s *Service) serve() (micro.Service, error) {
	svc, err := micro.AddService(s.cfg.Conn, micro.Config{
		Name: "unibus-control", Version: "1.0.0", Description: "rooms, members and keys of unibus, node " + s.cfg.Node,
	})
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the control service cannot be started: %w", err)
	}
	group := svc.AddGroup(strings.TrimSuffix(Prefix, ".") + ".*")
	methods := s.methods()
	for m, rule := range Rules() {
		if err := group.AddEndpoint(string(m), s.handler(m, rule, methods[m])); err != nil {
			_ = svc.Stop()
			return nil, core.Errorf(core.KindFailed, "the method %s cannot be offered: %w", m, err)
		}
	}
	if err := s.cfg.Conn.FlushTimeout(flushTimeout); err != nil { // a request that comes before the server knows the subjects has no responders
		s.cfg.Log.Warn("the control service may not be known everywhere yet", "error", err)
	}
	return svc, nil
}

// handler checks where the reply goes and that there is room, then answers in a goroutine of its own.
func (s *Service) handler(m Method, rule Rule, f methodFunc) micro.HandlerFunc {
	return func(req micro.Request) {
		caller := CallerOf(req.Subject())
		if caller == "" || !strings.HasPrefix(req.Reply(), InboxPrefix(caller)+".") {
			// The reply is published with this service's rights: nowhere but to the caller.
			s.cfg.Log.Warn("dropped a request whose reply is not the caller's inbox", "method", m, "caller", caller)
			return
		}
		if !s.enter(caller) {
			s.respond(req, nil, core.Errorf(core.KindUnavailable, "%s has too many requests under way", s.cfg.Node).WithNext("try again"))
			return
		}
		s.work.Go(func() {
			defer s.leave(caller)
			out, err := s.answer(m, rule, f, call{subject: req.Subject(), caller: caller, headers: req.Headers(), body: req.Data()})
			s.respond(req, out, err)
		})
	}
}

func (s *Service) enter(caller string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under[caller] >= maxOfOne {
		return false
	}
	select {
	case s.slots <- struct{}{}:
		s.under[caller]++
		return true
	default:
		return false
	}
}

func (s *Service) leave(caller string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under[caller]--; s.under[caller] == 0 {
		delete(s.under, caller)
	}
	<-s.slots
}

// call is a request as it came.
type call struct {
	subject string
	caller  string
	headers map[string][]string
	body    []byte
}

// answer checks who asks, that the request is new, and what the caller may, and does it.
func (s *Service) answer(m Method, rule Rule, f methodFunc, c call) (any, error) {
	ctx, cancel := context.WithTimeout(core.AsOf(s.ctx, time.Now()), requestTimeout)
	defer cancel()
	st, err := s.cfg.Holder.Store()
	if err != nil {
		return nil, err
	}
	admitted := func() error { return s.admit(ctx, m, rule, c) }
	if s.known.has(c.caller) {
		admitted = s.begin(admitted)
	}
	a, err := s.actor(ctx, st, c.caller)
	if err != nil {
		s.known.drop(c.caller)
		return nil, err
	}
	if err := admitted(); err != nil {
		return nil, err
	}
	s.known.add(c.caller)
	a.rule = rule
	if rule.inRoom() {
		if err := a.into(ctx, c.body); err != nil {
			return nil, err
		}
	}
	if !rule.allows(a.standing, a.userAdmin()) {
		return nil, a.refused(m, rule)
	}
	return f(ctx, a, c.body)
}

// admit lets what changes something through once. It comes after the look at the
// user, or beside it where the caller was one a moment ago: a stranger fills no
// memory of used requests.
func (s *Service) admit(ctx context.Context, m Method, rule Rule, c call) error {
	if !rule.Acts {
		return nil
	}
	err := s.cfg.Guard.Admit(ctx, c.caller, c.subject, c.headers, c.body, false)
	if err != nil {
		s.cfg.Log.Warn("a request was not let through", "method", m, "by", c.caller, "reason", err)
	}
	return err
}

// begin runs do while others go on; what it returns waits for the end.
func (s *Service) begin(do func() error) func() error {
	end := make(chan error, 1)
	s.work.Go(func() { end <- do() })
	return func() error { return <-end }
}

// actor is who asks, by a fresh proof: an active user.
func (s *Service) actor(ctx context.Context, st core.Store, caller string) (*actor, error) {
	id, err := core.ParseUserID(caller)
	if err != nil || string(id) != caller {
		return nil, core.Errorf(core.KindInvalid, "the subject names no user's public nkey").WithNext("use the key in upper case")
	}
	u, err := st.User(ctx, id)
	if core.KindOf(err) == core.KindNotFound || err == nil && u.Status != core.UserActive {
		return nil, core.Errorf(core.KindRefused, "the user %s is unknown or revoked", id.Short()).WithNext("ask an administrator")
	}
	return &actor{store: st, user: u}, err
}

func (s *Service) respond(req micro.Request, out any, err error) {
	answer := reply{V: Version}
	if err == nil {
		answer.Reply, err = json.Marshal(out)
	}
	if err != nil {
		answer.Reply, answer.Error = nil, core.AsError(err)
	}
	if answer.Error != nil {
		body, _ := json.Marshal(answer) // plain text
		err = req.Error(string(answer.Error.Kind), string(answer.Error.Kind), body)
	} else {
		err = req.RespondJSON(answer)
	}
	if err != nil {
		s.cfg.Log.Warn("an answer could not be sent to the caller", "error", err)
	}
}

// announce tells a room that something has changed. A lost event is no error: it is a hint.
func (s *Service) announce(e Event) {
	e.V, e.At = Version, s.cfg.Now()
	body, err := json.Marshal(e)
	if err == nil {
		err = s.cfg.Conn.Publish(EventSubject(e.Room), body)
	}
	if err != nil {
		s.cfg.Log.Warn("a room could not be told of a change", "room", e.Room, "error", err)
	}
}
