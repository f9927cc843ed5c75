package admin

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
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// Holder publishes the store; *core.StoreHandle is one.
type Holder interface {
	Store() (core.Store, error)
	Watch(func(full bool))
}

// Eyes are what the node sees.
type Eyes interface {
	View(ctx context.Context) cluster.View
	Events(since uint64, limit int) []cluster.Event
	// Note records what an operator did, for the events of every node.
	Note(level cluster.Level, about, text string)
}

// Groups changes raft groups.
type Groups interface {
	Scale(ctx context.Context, replicas int) error
	StepDown(ctx context.Context, group, to string) error
}

// Mover moves the control plane of this node's database.
type Mover interface {
	Status(ctx context.Context) (migrate.Status, error)
	Start(ctx context.Context, by string, o migrate.Options) (migrate.Status, error)
	Pause(ctx context.Context, by string) (migrate.Status, error)
	Resume(ctx context.Context, by string) (migrate.Status, error)
	Abort(ctx context.Context, by string) (migrate.Status, error)
	Cutover(ctx context.Context, by string) (migrate.Status, error)
	Finish(ctx context.Context, by string) (migrate.Status, error)
	Limit(ctx context.Context, by string, rate int) (migrate.Status, error)
	Rollback(ctx context.Context, by string) (migrate.Status, error)
}

// Sessions are those of bus users, on every node.
type Sessions interface {
	// End is called once a user has been revoked in the store. It ends the user's
	// sessions everywhere and says what each configured node answered in time.
	End(ctx context.Context, u core.User) map[string]Ended
	// Rollout asks every configured node whom it would deny under enforce.
	Rollout(ctx context.Context) map[string]RolloutNode
}

// Prover proves that this node belongs to the cluster; auth.Prover is one.
type Prover interface {
	Prove(channel, caller, nonce string) (key string, signature []byte, err error)
}

// Operators are those of the whole cluster.
type Operators interface {
	// Remove has every node refuse a key from now on, and says what each configured
	// node answered in time.
	Remove(ctx context.Context, by core.Operator, key core.UserID) (OperatorRemoved, error)
}

// ServiceConfig is what the service needs of its node.
type ServiceConfig struct {
	Conn     *nats.Conn // in CONTROL, with an identity that may publish to inboxes alone
	Node     string
	Declared map[string]string                      // the flags' targets
	Operator func(key string) (core.Operator, bool) // from configuration
	Flags    func(cluster.Info) map[string]string   // what a node runs, in the names of Declared
	Now      func() core.Millis
	Holder   Holder
	Eyes     Eyes
	Groups   Groups
	Sessions Sessions
	Removal  Operators
	Bus      Bus
	Mover    Mover // nil on a node alone
	Backups  Backups
	Guard    Guard
	Prover   Prover
	Audit    Auditor
	Log      *slog.Logger
}

// Service answers operators: one NATS micro service for what a node can always
// say, a second one while the node's holder is filled.
type Service struct {
	cfg   ServiceConfig
	ctx   context.Context // ends with Close; the parent of every request's
	end   context.CancelFunc
	slots chan struct{} // bounds the requests under way
	keys  keyring

	mu     sync.Mutex
	always micro.Service
	store  micro.Service
	closed bool
	work   sync.WaitGroup
}

const (
	maxUnderWay    = 64
	flushTimeout   = 2 * time.Second
	requestTimeout = 4 * time.Second // below the client's, so that it hears why
)

// NewService does no I/O.
func NewService(cfg ServiceConfig) *Service {
	return &Service{cfg: cfg, slots: make(chan struct{}, maxUnderWay)}
}

// Open begins to answer. ctx bounds Open alone.
func (s *Service) Open(context.Context) error {
	s.ctx, s.end = context.WithCancel(context.Background())
	svc, err := s.serve("unibus-admin", func(r Rule) bool { return !r.Store })
	if err != nil {
		return err
	}
	s.always = svc
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
	services := []micro.Service{s.always, s.store}
	s.mu.Unlock()
	for _, svc := range services {
		if svc != nil {
			_ = svc.Stop() // fails where the connection is gone already, and then nothing is left to stop
		}
	}
	s.end()
	s.work.Wait()
	return nil
}

func (s *Service) holderChanged(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || full == (s.store != nil):
	case full:
		svc, err := s.serve("unibus-store", func(r Rule) bool { return r.Store })
		if err != nil {
			s.cfg.Log.Error("the store cannot be offered to operators", "error", err)
			return
		}
		s.store = svc
	default:
		if err := s.store.Stop(); err != nil {
			s.cfg.Log.Warn("ending the store's service", "error", err)
		}
		s.store = nil
	}
}

// serve adds a micro service with every verb whose rule is wanted, for any node and for this one.
func (s *Service) serve(name string, wanted func(Rule) bool) (micro.Service, error) {
	svc, err := micro.AddService(s.cfg.Conn, micro.Config{
		Name: name, Version: "1.0.0",
		Description: "operators' protocol of unibus, node " + s.cfg.Node,
	})
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the operators' service cannot be started: %w", err)
	}
	verbs := s.verbs()
	group := svc.AddGroup(strings.TrimSuffix(Prefix, ".") + ".*")
	for verb, rule := range Rules() {
		if !wanted(rule) {
			continue
		}
		handler := s.handler(verb, rule, verbs[verb])
		for _, target := range []Target{TargetAny, TargetNode(s.cfg.Node)} {
			endpoint := strings.ReplaceAll(string(target), ".", "-") + "-" + string(verb)
			if err := group.AddEndpoint(endpoint, handler, micro.WithEndpointSubject(string(target)+"."+string(verb))); err != nil {
				_ = svc.Stop()
				return nil, core.Errorf(core.KindFailed, "the operators' verb %s cannot be offered: %w", verb, err)
			}
		}
	}
	if err := s.cfg.Conn.FlushTimeout(flushTimeout); err != nil { // a request that comes before the server knows the subjects has no responders
		s.cfg.Log.Warn("the operators' service may not be known everywhere yet", "error", err)
	}
	return svc, nil
}

// handler checks who asks and where the reply goes, then answers in a goroutine of its own.
func (s *Service) handler(verb Verb, rule Rule, f verbFunc) micro.HandlerFunc {
	return func(req micro.Request) {
		caller := CallerOf(req.Subject())
		if !strings.HasPrefix(req.Reply(), InboxPrefix(caller)+".") {
			// The reply is published with this service's rights: nowhere but to the caller.
			s.cfg.Log.Warn("dropped a request whose reply is not the caller's inbox", "verb", verb, "caller", caller)
			return
		}
		select {
		case s.slots <- struct{}{}:
		default:
			s.fail(req, core.Errorf(core.KindUnavailable, "%s has %d requests under way", s.cfg.Node, maxUnderWay).WithNext("try again"))
			return
		}
		s.work.Go(func() {
			defer func() { <-s.slots }()
			s.answer(req, caller, verb, rule, f)
		})
	}
}

func (s *Service) answer(req micro.Request, caller string, verb Verb, rule Rule, f verbFunc) {
	op, known := s.cfg.Operator(caller)
	if !known || !allowed(op.Role, rule.Role) {
		s.fail(req, core.Errorf(core.KindRefused, "%s may not do this: it needs the role %s", name(op, caller), rule.Role).
			WithNext("use an identity of that role"))
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, rule.within(requestTimeout))
	defer cancel()
	switch {
	case rule.Acts():
		f = s.acting(verb, rule, f, req.Subject(), req.Headers())
	case verb != VerbIdentify:
		f = s.reading(verb, f, req.Subject(), req.Headers())
	}
	out, err := f(ctx, op, req.Data())
	if err != nil {
		s.fail(req, err)
		return
	}
	if err := req.RespondJSON(out); err != nil {
		s.fail(req, core.Errorf(core.KindFailed, "the answer cannot be sent: %w", err))
	}
}

func (s *Service) fail(req micro.Request, err error) {
	e := core.AsError(err)
	body, merr := json.Marshal(Problem{Error: e})
	if merr == nil {
		merr = req.Error(string(e.Kind), string(e.Kind), body)
	}
	if merr != nil {
		s.cfg.Log.Warn("an error could not be sent to the caller", "error", err, "cause", merr)
	}
}

func allowed(has, needs core.OperatorRole) bool {
	return has == core.OperatorAdmin || has == core.OperatorViewer && needs == core.OperatorViewer
}

func name(op core.Operator, key string) string {
	if op.Name != "" {
		return op.Name
	}
	return key
}
