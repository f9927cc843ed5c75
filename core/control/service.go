package control

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/request"
	"unibus/core/seal"
)

// storeHandle publishes the store in force; *core.StoreHandle is one.
type storeHandle interface {
	Store() (core.Store, error)
	Watch(func(full bool))
}

// guard lets each signed request through once; *auth.Replay is one.
type guard interface {
	Admit(ctx context.Context, key, subject string, headers map[string][]string, body []byte, restores bool) error
}

// Config is what the service needs of its node.
type Config struct {
	Conn   *nats.Conn // in BUS, with an identity that may publish to inboxes and rooms' events alone
	Node   string
	Store  storeHandle
	Guard  guard // not the operators': users must not be able to fill theirs
	Prover request.Prover
	Quotas Quotas
	Now    func() core.Millis
	// EndSessions is called once a user has been revoked in the store: it ends the
	// user's sessions everywhere and says what each configured node answered in time.
	EndSessions func(ctx context.Context, u core.User) map[string]Ended
	Audit       auditor // gets what user-admins do
	// Note tells of what a user-admin did, in the events of every node.
	Note func(by core.UserID, text string)
	Log  *slog.Logger
}

// Service answers users while the node serves a store.
type Service struct {
	cfg    Config
	server *request.Server
	known  callers
	usage  usage

	records recordLimit
	chains  seal.ProofCache
}

const (
	requestTimeout = 5 * time.Second
	flushTimeout   = 2 * time.Second
	maxUnderWay    = 128
	maxPerCaller   = 16
)

// NewService does no I/O.
func NewService(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Quotas = cfg.Quotas.OrDefaults()
	s := &Service{cfg: cfg}
	s.server = request.NewServer(request.ServerConfig{
		Conn: cfg.Conn, Node: cfg.Node, Prefix: auth.ControlPrefix, Limit: maxUnderWay, LimitPerCaller: maxPerCaller,
		Services: s.services, WatchStore: func(f func(bool)) { cfg.Store.Watch(f) }, Envelope: envelope, Log: cfg.Log,
	})
	return s
}

// Open serves whenever the node serves a store. It returns at once.
func (s *Service) Open(ctx context.Context) error { return s.server.Open(ctx) }

// Close stops answering and waits for requests under way. Twice is harmless.
func (s *Service) Close() error { return s.server.Close() }

// services are every method, as one service.
func (s *Service) services() []request.Service {
	svc := request.Service{Name: "unibus-control", Description: "rooms, members and keys of unibus, node " + s.cfg.Node, NeedsStore: true}
	methods := s.methods()
	for m, rule := range Rules() {
		svc.Endpoints = append(svc.Endpoints, request.Endpoint{
			Name: string(m), Subject: string(m), Timeout: requestTimeout,
			Handle: func(ctx context.Context, c request.Call) (any, error) {
				return s.answer(ctx, m, rule, methods[m], c)
			},
		})
	}
	return []request.Service{svc}
}

// envelope is an answer as it is sent.
func envelope(out any, failed *core.Error) any {
	if failed != nil {
		return reply{V: version, Error: failed}
	}
	return struct {
		V     int `json:"v"`
		Reply any `json:"reply"`
	}{version, out}
}

// answer checks the caller, that the request is new, and the rule, and does it.
func (s *Service) answer(ctx context.Context, m Method, rule Rule, f methodFunc, c request.Call) (_ any, failed error) {
	ctx, change := core.BeginChange(ctx)
	defer change.Done(&failed)
	ctx = core.AsOf(ctx, time.Now())
	st, err := s.cfg.Store.Store()
	if err != nil {
		return nil, err
	}
	admitted := func() error { return s.admit(ctx, m, rule, c) }
	if s.known.has(c.Caller) {
		admitted = s.begin(admitted)
	}
	a, err := s.actor(ctx, st, c.Caller)
	if err != nil {
		s.known.drop(c.Caller)
		return nil, err
	}
	if err := admitted(); err != nil {
		return nil, err
	}
	s.known.add(c.Caller)
	a.rule = rule
	if rule.inRoom() {
		if err := a.loadRoom(ctx, c.Body); err != nil {
			return nil, err
		}
	}
	if !rule.allows(a.rank, a.userAdmin()) {
		return nil, a.refused(m, rule)
	}
	if rule.AuditedAs == "" || a.user.Role != core.RoleAdmin {
		return f(ctx, a, c.Body)
	}
	return s.recorded(ctx, a, c.Body, f)
}

// admit lets what changes something through once. It comes after the look at the
// user, or beside it where the caller was one a moment ago: a stranger fills no
// memory of used requests.
func (s *Service) admit(ctx context.Context, m Method, rule Rule, c request.Call) error {
	if !rule.Acts {
		return nil
	}
	err := s.cfg.Guard.Admit(ctx, c.Caller, c.Subject, c.Headers, c.Body, rule.WorksWithoutQuorum)
	if err != nil {
		s.cfg.Log.Warn("a request was not let through", "method", m, "by", c.Caller, "reason", err)
	}
	return err
}

// begin runs do while others go on; the function that it returns waits for the end.
func (s *Service) begin(do func() error) func() error {
	end := make(chan error, 1)
	s.server.Go(func(context.Context) { end <- do() })
	return func() error { return <-end }
}

// actor is the caller, by a fresh proof: an active user.
func (s *Service) actor(ctx context.Context, st core.Store, caller string) (*actor, error) {
	id, err := core.ParseUserID(caller)
	if err != nil || string(id) != caller {
		return nil, core.Errorf(core.KindInvalid, "the subject names no user's public nkey").WithNext("use the key in upper case")
	}
	u, err := st.User(ctx, id)
	if core.KindOf(err) == core.KindNotFound || err == nil && !u.IsActive(s.cfg.Now()) {
		return nil, core.Errorf(core.KindRefused, "the user %s is unknown, revoked or expired", id.Short()).WithNext("ask an administrator")
	}
	return &actor{store: st, chains: &s.chains, user: u}, err
}

// announce tells a room that something has changed. A lost event is no error: it is a hint.
func (s *Service) announce(e Event) {
	e.V, e.At = version, s.cfg.Now()
	body, err := json.Marshal(e)
	if err == nil {
		err = s.cfg.Conn.Publish(EventSubject(e.Room), body)
	}
	if err != nil {
		s.cfg.Log.Warn("a room could not be told of a change", "room", e.Room, "error", err)
	}
}
