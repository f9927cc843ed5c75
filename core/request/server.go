package request

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
	"unibus/core/auth"
)

// Call is one request as it came.
type Call struct {
	Subject string
	Caller  string // the public nkey in Subject; the server's allow-list ties it to the connection
	Headers map[string][]string
	Body    []byte
}

// Endpoint is one verb at one subject.
type Endpoint struct {
	Name    string        // of the micro service's endpoint
	Subject string        // behind the caller's key
	Timeout time.Duration // of Handle
	Handle  func(ctx context.Context, c Call) (any, error)
}

// Service is a group of endpoints, and one NATS micro service.
type Service struct {
	Name        string
	Description string
	NeedsStore  bool // it is offered only while the node serves a store
	Endpoints   []Endpoint
}

// ServerConfig is what a Server needs. All but WatchStore are required.
type ServerConfig struct {
	Conn           *nats.Conn // with an identity that may publish to little more than inboxes
	Node           string
	Prefix         string // of every subject; the caller's key follows it
	Limit          int    // requests under way
	LimitPerCaller int    // of one caller: no caller keeps the others out
	Services       func() []Service
	WatchStore     func(func(serves bool))               // nil where no service needs a store
	Envelope       func(out any, failed *core.Error) any // the answer as it is sent, in JSON
	Log            *slog.Logger
}

// Server answers requests until it is closed.
type Server struct {
	cfg   ServerConfig
	ctx   context.Context // ends with Close; the parent of every request's
	end   context.CancelFunc
	slots *slots
	work  sync.WaitGroup

	publish func(*nats.Msg) error // sends an answer

	starting sync.Mutex // between the check that ctx lives and work.Go: Close ends ctx under it

	mu      sync.Mutex
	offered map[string]micro.Service // by name
	closed  bool
}

const flushTimeout = 2 * time.Second

// NewServer does no I/O.
func NewServer(cfg ServerConfig) *Server {
	s := &Server{cfg: cfg, publish: cfg.Conn.PublishMsg, slots: newSlots(cfg.Limit, cfg.LimitPerCaller), offered: map[string]micro.Service{}}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// Open begins to answer. Services that need a store follow it from then on.
func (s *Server) Open(context.Context) error {
	for _, svc := range s.cfg.Services() {
		if svc.NeedsStore {
			continue
		}
		if err := s.offer(svc); err != nil {
			return err
		}
	}
	if s.cfg.WatchStore != nil {
		s.cfg.WatchStore(s.storeChanged)
	}
	return nil
}

// Close stops answering and waits for requests under way. Twice is harmless.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for _, svc := range s.offered {
		_ = svc.Stop() // fails where the connection is gone already, and then nothing is left to stop
	}
	s.mu.Unlock()
	s.starting.Lock()
	s.end()
	s.starting.Unlock()
	s.work.Wait()
	return nil
}

// Go runs f beside the requests. Its context ends with Close, which waits for it. Once
// Close has begun, f runs in the caller's goroutine: a request under way may wait for it.
func (s *Server) Go(f func(ctx context.Context)) {
	if !s.start(f) {
		f(s.ctx)
	}
}

// start runs f in a goroutine, and is false once Close has begun. Micro services only
// begin to drain in Close, so a request can still come after that.
func (s *Server) start(f func(ctx context.Context)) bool {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.work.Go(func() { f(s.ctx) })
	return true
}

// storeChanged offers the services that need a store while there is one.
func (s *Server) storeChanged(serves bool) {
	for _, svc := range s.cfg.Services() {
		if !svc.NeedsStore {
			continue
		}
		if serves {
			if err := s.offer(svc); err != nil {
				s.cfg.Log.Error("a service that needs the store cannot be offered", "service", svc.Name, "error", err)
			}
			continue
		}
		s.withdraw(svc.Name)
	}
}

func (s *Server) withdraw(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	svc := s.offered[name]
	if svc == nil || s.closed {
		return
	}
	if err := svc.Stop(); err != nil {
		s.cfg.Log.Warn("a service that needs the store could not be ended", "service", name, "error", err)
	}
	delete(s.offered, name)
}

// offer adds a micro service with every endpoint, unless it is there.
func (s *Server) offer(service Service) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.offered[service.Name] != nil {
		return nil
	}
	svc, err := micro.AddService(s.cfg.Conn, micro.Config{Name: service.Name, Version: "1.0.0", Description: service.Description})
	if err != nil {
		return core.Errorf(core.KindFailed, "the service %s cannot be started: %w", service.Name, err)
	}
	group := svc.AddGroup(strings.TrimSuffix(s.cfg.Prefix, ".") + ".*")
	for _, e := range service.Endpoints {
		if err := group.AddEndpoint(e.Name, s.handler(e), micro.WithEndpointSubject(e.Subject)); err != nil {
			_ = svc.Stop()
			return core.Errorf(core.KindFailed, "%s cannot be offered by the service %s: %w", e.Name, service.Name, err)
		}
	}
	if err := s.cfg.Conn.FlushTimeout(flushTimeout); err != nil { // a request that comes before the server knows the subjects has no responders
		s.cfg.Log.Warn("a service may not be known everywhere yet", "service", service.Name, "error", err)
	}
	s.offered[service.Name] = svc
	return nil
}

// handler checks where the answer goes and that there is a slot, then answers in a
// goroutine of its own.
func (s *Server) handler(e Endpoint) micro.HandlerFunc {
	return func(req micro.Request) {
		caller := callerOf(s.cfg.Prefix, req.Subject())
		if caller == "" || !strings.HasPrefix(req.Reply(), auth.InboxPrefix(caller)+".") {
			// The answer is published with this server's rights: nowhere but to the caller.
			s.cfg.Log.Warn("dropped a request whose reply is not the caller's inbox", "endpoint", e.Name, "caller", caller)
			return
		}
		if !s.slots.enter(caller) {
			s.respond(req.Reply(), core.Errorf(core.KindUnavailable, "%s has too many requests under way", s.cfg.Node).WithOutcome(core.OutcomeNone).WithNext("try again"))
			return
		}
		started := s.start(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, e.Timeout)
			defer cancel()
			out, err := e.Handle(ctx, Call{Subject: req.Subject(), Caller: caller, Headers: req.Headers(), Body: req.Data()})
			answer := s.answer(req.Reply(), out, err)
			s.slots.leave(caller) // before the answer: a caller that waits for each one never has two slots
			s.send(answer)
		})
		if !started {
			s.slots.leave(caller)
			s.respond(req.Reply(), core.Errorf(core.KindUnavailable, "%s is stopping", s.cfg.Node).WithOutcome(core.OutcomeNone).WithNext("try again, at another node"))
		}
	}
}

// respond answers a request that was not handled.
func (s *Server) respond(reply string, err error) { s.send(s.answer(reply, nil, err)) }

// answer is what goes to the caller: out, or the error that there is instead. It is not
// sent by micro.Request, which notes an error for the service: the service reads that
// note as soon as the handler returns, while the request is still under way.
func (s *Server) answer(reply string, out any, err error) *nats.Msg {
	if err == nil {
		body, cause := json.Marshal(s.cfg.Envelope(out, nil))
		if cause == nil {
			return &nats.Msg{Subject: reply, Data: body}
		}
		err = unsent(cause)
	}
	e := core.AsError(err)
	body, err := json.Marshal(s.cfg.Envelope(nil, e))
	if err != nil {
		s.cfg.Log.Warn("an error could not be written as JSON for the caller", "error", e, "cause", err)
	}
	kind := []string{string(e.Kind)}
	return &nats.Msg{Subject: reply, Data: body, Header: nats.Header{micro.ErrorHeader: kind, micro.ErrorCodeHeader: kind}}
}

// send sends an answer, or else the error that kept it from being sent.
func (s *Server) send(answer *nats.Msg) {
	cause := s.publish(answer)
	if cause == nil {
		return
	}
	if answer.Header == nil { // it may be too long; an error is not
		cause = s.publish(s.answer(answer.Subject, nil, unsent(cause)))
	}
	if cause != nil {
		s.cfg.Log.Warn("an answer could not be sent to the caller", "cause", cause)
	}
}

func unsent(cause error) error {
	return core.Errorf(core.KindFailed, "the answer cannot be sent: %w", cause)
}
