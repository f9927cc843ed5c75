package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/doctor"
	"unibus/core/events"
	"unibus/core/migrate"
	"unibus/core/request"
)

// storeHandle publishes the store in force; *core.StoreHandle is one.
type storeHandle interface {
	Store() (core.Store, error)
	Watch(func(full bool))
}

// clusterViewer is what the node sees of the cluster.
type clusterViewer interface {
	View(ctx context.Context) cluster.View
	Events(since uint64, limit int) []cluster.Event
	// History returns a page of the events of the cluster.
	History(q events.Query) events.Page
	// LastSeen has the time of each user's last session.
	LastSeen() *core.LastSeen
	// SupportReport is a support.Report of the node, filtered.
	SupportReport(ctx context.Context) (json.RawMessage, error)
	// Note records what an operator did, for the events of every node.
	Note(level cluster.Level, about, text string)
}

// raftGroups changes raft groups.
type raftGroups interface {
	Scale(ctx context.Context, replicas int) error
	StepDown(ctx context.Context, group, to string) error
}

// Migrator migrates the control plane of this node's database.
type Migrator interface {
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

// userSessions are the sessions of bus users, on every node.
type userSessions interface {
	// End is called once a user has been revoked in the store. It ends the user's
	// sessions everywhere and says what each configured node answered in time.
	End(ctx context.Context, u core.User) map[string]Ended
	// Sessions asks every node, or the one of the request, for its sessions behind a cursor.
	Sessions(ctx context.Context, r SessionPageRequest, after *SessionCursor) map[string]NodeSessions
	EndOne(ctx context.Context, id SessionID) SessionsEnded
	EndAll(ctx context.Context, user core.UserID) SessionsEnded
	// Rollout asks every configured node whom it would deny under enforce.
	Rollout(ctx context.Context) map[string]RolloutNode
}

// operatorRemover removes operators of the whole cluster.
type operatorRemover interface {
	// Remove has every node refuse a key from now on, and says what each configured
	// node answered in time.
	Remove(ctx context.Context, by core.Operator, key core.UserID) (OperatorRemoved, error)
}

// membership adds nodes to the cluster, and removes them.
type membership interface {
	Add(ctx context.Context, by core.Operator, name string) (NodeChanged, error)
	// Remove returns once no raft group has the node. After an error the same call completes it.
	Remove(ctx context.Context, by core.Operator, name string) (NodeChanged, error)
	// Evacuate has spare nodes take the replicas of a node that is down.
	Evacuate(ctx context.Context, by core.Operator, name string) (Done, error)
	// Drain returns once the node leads nothing and serves no users, or ctx is about to end.
	Drain(ctx context.Context, by core.Operator, name string, last time.Duration) (NodeDrained, error)
	Resume(ctx context.Context, by core.Operator, name string) (NodeDrained, error)
	// Fence has every node that is left refuse a lost one from now on.
	Fence(ctx context.Context, by core.Operator, name string) (NodeChanged, error)
	// Rescue lowers the quorum and removes the fenced nodes. After an error the same call completes it.
	Rescue(ctx context.Context, quorum int) (Rescued, error)
}

// controlPlaneChecker checks the control plane in KV, and changes nothing.
type controlPlaneChecker interface {
	// Check compares the replicas and, unless the request leaves it out, how the rows fit
	// together. KindUnavailable while another check runs on the node.
	Check(ctx context.Context, req DoctorRequest) ([]doctor.Check, error)
}

// ServiceConfig is what the service needs of its node.
type ServiceConfig struct {
	Conn     *nats.Conn // in CONTROL, with an identity that may publish to inboxes alone
	Node     string
	Declared map[string]string                      // the flags' targets
	Operator func(key string) (core.Operator, bool) // from configuration
	Flags    func(cluster.Info) map[string]string   // what a node runs, in the names of Declared
	Now      func() core.Millis
	Store    storeHandle
	Cluster  clusterViewer
	Groups   raftGroups
	Sessions userSessions
	Removal  operatorRemover

	Membership membership
	Checker    controlPlaneChecker
	Bus        roomBus
	Migrator   Migrator // nil on a node alone
	Backups    backupServer
	Schedule   backupSchedule
	Restorer   ClusterRestorer // nil on a node alone
	Guard      guard
	Prover     request.Prover
	Audit      auditor
	Log        *slog.Logger
}

// Service answers operators: one NATS micro service for what a node can always
// say, a second one while the node serves a store.
type Service struct {
	cfg    ServiceConfig
	server *request.Server
	keys   keyHealthCache
	chains chainCache
}

const (
	maxUnderWay    = 64
	answerMargin   = time.Second // a node gives up so much before the client, which then hears why
	requestTimeout = clientTimeout - answerMargin
)

// NewService does no I/O.
func NewService(cfg ServiceConfig) *Service {
	s := &Service{cfg: cfg}
	s.server = request.NewServer(request.ServerConfig{
		Conn: cfg.Conn, Node: cfg.Node, Prefix: auth.AdminPrefix, Limit: maxUnderWay, LimitPerCaller: maxUnderWay,
		Services: s.services, WatchStore: func(f func(bool)) { cfg.Store.Watch(f) }, Envelope: envelope, Log: cfg.Log,
	})
	return s
}

// Open begins to answer. ctx bounds Open alone.
func (s *Service) Open(ctx context.Context) error { return s.server.Open(ctx) }

// Close stops answering and waits for requests under way. Twice is harmless.
func (s *Service) Close() error { return s.server.Close() }

// services are every verb, for any node and for this one, by whether it needs a store.
func (s *Service) services() []request.Service {
	description := "operators' protocol of unibus, node " + s.cfg.Node
	always := request.Service{Name: "unibus-admin", Description: description}
	store := request.Service{Name: "unibus-store", Description: description, NeedsStore: true}
	verbs := s.verbs()
	for verb, rule := range Rules() {
		to := &always
		if rule.NeedsStore {
			to = &store
		}
		for _, target := range []Target{TargetAny, TargetNode(s.cfg.Node)} {
			to.Endpoints = append(to.Endpoints, request.Endpoint{
				Name:    strings.ReplaceAll(string(target), ".", "-") + "-" + string(verb),
				Subject: string(target) + "." + string(verb),
				Timeout: rule.within(clientTimeout) - answerMargin,
				Handle: func(ctx context.Context, c request.Call) (any, error) {
					return s.answer(ctx, c, verb, rule, verbs[verb])
				},
			})
		}
	}
	return []request.Service{always, store}
}

// envelope is an answer as it is sent: the payload alone, or a Problem.
func envelope(out any, failed *core.Error) any {
	if failed != nil {
		return Problem{Error: failed}
	}
	return out
}

// answer checks the caller's role and the request's signature, and does what the verb says.
func (s *Service) answer(ctx context.Context, c request.Call, verb Verb, rule Rule, f verbFunc) (any, error) {
	op, known := s.cfg.Operator(c.Caller)
	if !known || !hasRole(op.Role, rule.Role) {
		return nil, core.Errorf(core.KindRefused, "%s may not do this: it needs the role %s", name(op, c.Caller), rule.Role).
			WithNext("use an identity of that role")
	}
	switch {
	case rule.Acts():
		f = s.serveChange(verb, rule, f, c)
	case verb != verbIdentify:
		f = s.serveRead(verb, f, c)
	}
	return f(ctx, op, c.Body)
}

func hasRole(has, needs core.OperatorRole) bool {
	return has == core.OperatorAdmin || has == core.OperatorViewer && needs == core.OperatorViewer
}

func name(op core.Operator, key string) string {
	if op.Name != "" {
		return op.Name
	}
	return key
}
