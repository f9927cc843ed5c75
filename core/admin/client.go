package admin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/auth"
	"unibus/core/binding"
	"unibus/core/keys"
	"unibus/core/request"
)

// Identity is an operator's; keys.Identity is one.
type Identity interface {
	auth.Signer
	// SignNonce signs a nonce that a server chose, and refuses everything that is not a nonce.
	SignNonce(nonce []byte) ([]byte, error)
}

// ClientConfig says whom to ask and as whom.
type ClientConfig struct {
	Servers  []string      // nats:// or tls:// URLs; nodes tell clients no further address, so name all of them
	Identity Identity      // an operator of role viewer or admin
	TLS      *tls.Config   // nil: the URLs decide and the system's roots count
	TLSFirst bool          // begin with TLS, as nodes with tls-first want it
	CA       string        // the file that the authorities in TLS were read from, for what errors say
	Timeout  time.Duration // of one request; 0: 5 s
	Connect  time.Duration // how long Open tries; 0: 8 s
	Name     string        // shown in the server's connection list

	// Roots returns the authorities to be trusted, and is called for each connection. nil: those of TLS.
	Roots func() (*x509.CertPool, error)

	ClusterKey string // the public key that the cluster must prove; "" takes the one that it proves first
}

// Client asks nodes and steers them. It goes on with the next server when its
// own dies or hangs. Safe for use by several goroutines.
type Client struct {
	cfg     ClientConfig
	session atomic.Pointer[session] // nil before a server has answered

	mu         sync.Mutex
	attempts   []Attempt                   // of OpenUntilDone
	reconnects []Attempt                   // since the connection was lost
	dialed     *dialedConn                 // the last one
	pending    map[string]map[*func()]bool // what to call when the server refuses a subject
	dryRunNode string                      // the node that made the last dry run of this client; no other node knows what it found
}

// session is the connection of a Client, which goes from server to server.
type session struct {
	nc       *nats.Conn
	requests *request.Client
}

// A hung server is noticed after pingEvery*(pingsOut+1) and left for the next one.
const (
	pingEvery = time.Second
	pingsOut  = 2
	dialTime  = 2 * time.Second
	leastDial = 300 * time.Millisecond

	clientTimeout = 5 * time.Second // of one request, unless ClientConfig says otherwise

	slowTimeout  = time.Minute      // of a verb that moves data
	wholeTimeout = 30 * time.Minute // of one that reads the whole control plane
	// withoutQuorumTimeout is of a verb that goes on without a quorum: the node waits for the
	// audit and the nonces in vain first, and then observes which nodes answer.
	withoutQuorumTimeout = 12 * time.Second
)

// NewClient does no I/O.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Timeout == 0 {
		cfg.Timeout = clientTimeout
	}
	if cfg.Connect == 0 {
		cfg.Connect = 8 * time.Second
	}
	return &Client{cfg: cfg, pending: map[string]map[*func()]bool{}}
}

// Open connects to the first server that answers. KindUnavailable where none
// does within Connect, KindRefused where one answers and does not admit the identity.
func (c *Client) Open(ctx context.Context) error {
	deadline := time.Now().Add(c.cfg.Connect)
	each := c.timeoutPerServer(c.cfg.Connect)
	for {
		nc, final, err := binding.Dial(ctx, c.cfg.Servers, c.options(each))
		if err == nil {
			return c.proveCluster(ctx, nc)
		}
		last := c.connectError(err, c.cfg.Servers...)
		if final && core.KindOf(last) != core.KindUnavailable {
			return last
		}
		if each = c.timeoutPerServer(time.Until(deadline)); each < leastDial { // a round that cannot end in time is not begun
			return last
		}
		select {
		case <-ctx.Done():
			return c.connectError(ctx.Err(), c.cfg.Servers...)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// options are of a connection for which one server may take each to answer.
func (c *Client) options(each time.Duration) []nats.Option {
	opts := []nats.Option{
		nats.Name(c.cfg.Name), nats.Timeout(each), nats.SetCustomDialer(dialer{c, each}), nats.DisconnectErrHandler(c.forgetReconnects),
		nats.Nkey(c.cfg.Identity.Public(), c.cfg.Identity.SignNonce),
		nats.CustomInboxPrefix(auth.InboxPrefix(c.cfg.Identity.Public())),
		nats.DontRandomize(),
		nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(pingsOut),
		nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		nats.ReconnectBufSize(-1), // a request made while there is no server fails at once and is not sent later
		nats.IgnoreAuthErrorAbort(), nats.ErrorHandler(c.refused),
	}
	if c.cfg.TLS != nil {
		opts = append(opts, nats.Secure(c.cfg.TLS))
	}
	if c.cfg.TLSFirst {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	if c.cfg.Roots != nil {
		opts = append(opts, func(o *nats.Options) error { o.RootCAsCB = c.cfg.Roots; return nil })
	}
	return opts
}

// proveCluster has the cluster prove its key before anything else is sent. If no node
// can prove it now, each request asks again.
func (c *Client) proveCluster(ctx context.Context, nc *nats.Conn) error {
	c.session.Store(&session{nc: nc, requests: request.NewClient(request.ClientConfig{Conn: nc, Identity: c.cfg.Identity, ClusterKey: c.cfg.ClusterKey, Request: c.send})})
	err := c.identify(ctx)
	if core.KindOf(err) == core.KindUnavailable {
		return nil
	}
	if err != nil {
		nc.Close()
	}
	return err
}

// timeoutPerServer is how long one server may take so that a round through all of them takes no longer than left.
func (c *Client) timeoutPerServer(left time.Duration) time.Duration {
	return min(dialTime, left/time.Duration(max(1, len(c.cfg.Servers))))
}

func (c *Client) connectError(err error, servers ...string) error {
	at := strings.Join(servers, ", ")
	refused := keys.RefusedCertificate(err, at, c.cfg.CA, "--tls-ca", time.Now())
	switch {
	case refused != nil:
		return refused
	case errors.Is(err, nats.ErrAuthorization) || strings.Contains(err.Error(), "Authorization Violation"):
		return core.Errorf(core.KindRefused, "%s does not admit %s", at, c.cfg.Identity.Public()).
			WithNext("name this key in the nodes' configuration: --operator %s:admin:NAME", c.cfg.Identity.Public())
	case errors.Is(err, nats.ErrSecureConnWanted), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		return core.Errorf(core.KindRefused, "%s and this command disagree about TLS: %v", at, err).
			WithNext("use tls:// and --tls-ca where the node has a certificate, nats:// where it has none")
	case binding.Undecided(err): // it decides about operators by itself
		return core.Errorf(core.KindUnavailable, "%s closed the connection without an answer: its configuration does not name %s as an operator, or it is stopping", at, c.cfg.Identity.Public()).
			WithNext("try again; name this key in the nodes' configuration where it is missing: --operator %s:admin:NAME", c.cfg.Identity.Public())
	}
	next := "check the address with --server, and that unibusd runs there"
	if strings.Contains(at, "tls://") && !c.cfg.TLSFirst {
		next += "; nodes that were started with --tls-first answer only with --tls-first"
	}
	return core.Errorf(core.KindUnavailable, "no answer from %s: %w", at, err).WithNext("%s", next)
}

// whyDown adds to the error of a request that had no connection why there is none, if that
// is the certificate of the node that was tried last.
func (c *Client) whyDown(err error) error {
	s := c.session.Load()
	if core.KindOf(err) != core.KindUnavailable || s == nil || s.nc.IsConnected() {
		return err
	}
	why := keys.RefusedCertificate(s.nc.LastError(), strings.Join(c.cfg.Servers, ", "), c.cfg.CA, "--tls-ca", time.Now())
	if why == nil {
		return err
	}
	return core.Errorf(core.KindUnavailable, "%w; %s", err, why.Text).WithNext("%s", why.Next)
}

// Close ends the connection. Twice is harmless.
func (c *Client) Close() {
	if s := c.session.Load(); s != nil {
		s.nc.Close()
	}
}

// Connected is the name of the node the client talks to, "" while it talks to none.
func (c *Client) Connected() string {
	s := c.session.Load()
	if s == nil || !s.nc.IsConnected() {
		return ""
	}
	return s.nc.ConnectedServerName()
}

// Server is the URL of the node the client talks to, "" while it talks to none.
func (c *Client) Server() string {
	s := c.session.Load()
	if s == nil || !s.nc.IsConnected() {
		return ""
	}
	return s.nc.ConnectedUrl()
}

// connectedTarget is the node that the client is connected to. A queue group would spread
// requests for any node over the cluster, a hung one included (nats-server
// prefers no local member), and a console shows what its own node sees.
func (c *Client) connectedTarget() Target {
	if name := c.Connected(); name != "" {
		return TargetNode(name)
	}
	return TargetAny
}

// ask sends one request to a target. One for any node goes to the near one, and
// to the others where that has no responder, as for a store that it does not serve.
func (c *Client) ask(ctx context.Context, t Target, v Verb, body []byte) (*nats.Msg, error) {
	caller, s := c.cfg.Identity.Public(), c.session.Load()
	if near := c.connectedTarget(); t == TargetAny && near != TargetAny {
		msg, err := s.requests.Send(ctx, c.message(Subject(caller, near, v), v, body))
		if !errors.Is(err, nats.ErrNoResponders) {
			return msg, err
		}
	}
	return s.requests.Send(ctx, c.message(Subject(caller, t, v), v, body))
}

// send ends early where the server refuses the subject: it says so beside the
// request, not as an answer to it.
func (c *Client) send(ctx context.Context, out *nats.Msg) (*nats.Msg, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	subject, cancelRequest := out.Subject, func() { cancel(nats.ErrPermissionViolation) }
	c.mu.Lock()
	if c.pending[subject] == nil {
		c.pending[subject] = map[*func()]bool{}
	}
	c.pending[subject][&cancelRequest] = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if delete(c.pending[subject], &cancelRequest); len(c.pending[subject]) == 0 {
			delete(c.pending, subject)
		}
	}()
	msg, err := c.session.Load().nc.RequestMsgWithContext(ctx, out)
	if err != nil && errors.Is(context.Cause(ctx), nats.ErrPermissionViolation) {
		return nil, nats.ErrPermissionViolation
	}
	return msg, err
}

// refused is told of the server's errors; it gives up the requests whose subject is named in one.
func (c *Client) refused(_ *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for subject, waiting := range c.pending {
		if strings.Contains(err.Error(), `"`+subject+`"`) {
			for give := range waiting {
				(*give)()
			}
		}
	}
}

// call sends one request and decodes the reply. An attempt is bounded by the verb's time,
// all of them by ctx.
func call[Reply any](ctx context.Context, c *Client, t Target, v Verb, req any) (Reply, error) {
	var out Reply
	if !c.isOpen() {
		return out, c.notOpen()
	}
	body := []byte{}
	if req != nil {
		b, err := json.Marshal(req)
		if err != nil {
			return out, core.Errorf(core.KindFailed, "the request %s cannot be encoded: %w", v, err)
		}
		body = b
	}
	rule := Rules()[v]
	within := rule.within(c.cfg.Timeout)
	repetition := request.Repetition{}
	if rule.Acts() {
		repetition = request.Repetition{Idempotent: rule.Idempotent, Within: within + within/2, Passing: c.isElecting}
	}
	err := repetition.Do(ctx, func(ctx context.Context) (answered bool, err error) {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		msg, err := c.askOrExplain(ctx, t, v, body)
		if err != nil {
			return false, callError(v, t, err)
		}
		out, err = decode[Reply](v, msg)
		return true, err
	})
	if !rule.Acts() {
		return out, core.ReadError(c.whyDown(err))
	}
	if core.KindOf(err) == core.KindUnavailable && core.OutcomeOf(err) == core.OutcomeUnknown {
		return out, unknownError(v, namedID(body), err)
	}
	return out, c.whyDown(err)
}

// unknownError names the command that shows whether a verb took effect.
func unknownError(v Verb, id string, err error) error {
	e := core.AsError(err).WithNext("%s: %s", request.NextUnknown, lookUp(v, id))
	e.Kind, e.Err = core.KindUnavailable, err
	return e
}

// namedID is the id in a request, "" where nothing is named.
func namedID(body []byte) string {
	var of struct{ ID string }
	_ = json.Unmarshal(body, &of) // it stays empty
	return of.ID
}

// isElecting is true while the nodes have a majority and elect a leader.
func (c *Client) isElecting(ctx context.Context) bool {
	st, err := c.Status(ctx)
	return err == nil && st.IsElecting()
}

func decode[Reply any](v Verb, msg *nats.Msg) (out Reply, err error) {
	var problem Problem
	if msg.Header.Get(micro.ErrorCodeHeader) != "" {
		if err := json.Unmarshal(msg.Data, &problem); err == nil && problem.Error != nil {
			return out, problem.Error
		}
	}
	if err := json.Unmarshal(msg.Data, &out); err != nil {
		return out, core.Errorf(core.KindFailed, "the answer to %s is not what this version expects", v).
			WithNext("compare `unibusd version` here and on the nodes")
	}
	return out, nil
}

// lookUp is the command that shows whether a verb took effect.
func lookUp(v Verb, id string) string {
	switch v {
	case verbUserAdd, verbUserRevoke, verbUserActivate, verbUserExtend, verbUserReplace:
		return "`unibusd user get " + id + "`"
	case verbRoomRekey:
		return "`unibusd room get " + id + "`"
	case verbOperatorRemove:
		return "`unibusd operator list`"
	case verbNodeAdd, verbNodeRemove, verbNodeEvacuate, verbNodeDrain, verbNodeResume, verbNodeFence, verbNodeRescue:
		return "`unibusd node list`"
	case verbSessionEnd:
		return "`unibusd session list`"
	case verbBucketScale:
		return "`unibusd bucket list`"
	case verbStepDown:
		return "`unibus-tui status`"
	case verbBackup, verbSupport:
		return "`unibusd audit`"
	case verbRestore:
		return "`unibus-tui status`"
	}
	return "`unibusd migration status`"
}

// errNoResponder is inside the error where the node that was asked is not there.
var errNoResponder = errors.New("no node subscribes to the subject")

func callError(v Verb, t Target, err error) error {
	node := strings.TrimPrefix(string(t), "node.")
	switch {
	case errors.Is(err, nats.ErrNoResponders) && t != TargetAny:
		e := core.Errorf(core.KindUnavailable, "%s does not answer %s", node, v).WithOutcome(core.OutcomeNone)
		e.Err = errNoResponder
		return e.WithNext("see `unibus-tui status`")
	case errors.Is(err, nats.ErrPermissionViolation):
		return core.Errorf(core.KindRefused, "this identity may not ask for %s", v).WithNext("use an identity of role %s", Rules()[v].Role)
	}
	asked := string(v)
	if t != TargetAny {
		asked += " from " + node
	}
	return request.Unanswered(asked, Rules()[v].Acts(), err)
}

// Status is what the node the client is connected to sees of the cluster.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, TargetAny, verbStatus, nil)
}

// StatusOf is what a named node sees, itself included. KindUnavailable where it does not answer.
func (c *Client) StatusOf(ctx context.Context, node string) (Status, error) {
	return call[Status](ctx, c, TargetNode(node), verbStatus, nil)
}

// History is a page of the events of the cluster, also of before the answering node's start.
func (c *Client) History(ctx context.Context, req HistoryRequest) (History, error) {
	return call[History](ctx, c, TargetAny, verbHistory, req)
}

// Flags compares declared with active settings, node by node.
func (c *Client) Flags(ctx context.Context) (Flags, error) {
	return call[Flags](ctx, c, TargetAny, verbFlags, nil)
}

// Audit is one page of what operators did, newest first. KindUnavailable where
// the cluster's audit has no leader.
func (c *Client) Audit(ctx context.Context, req AuditRequest) (Audit, error) {
	return call[Audit](ctx, c, TargetAny, verbAudit, req)
}

// AuditRaw is one page of the audit as it is stored, oldest first. KindUnavailable where
// the cluster's audit has no leader, or the node is of an earlier version.
func (c *Client) AuditRaw(ctx context.Context, from uint64) (audit.RawPage, error) {
	page, err := call[Audit](ctx, c, TargetAny, verbAudit, AuditRequest{Raw: true, From: from})
	if err != nil {
		return audit.RawPage{}, err
	}
	if page.Raw == nil {
		return audit.RawPage{}, core.Errorf(core.KindUnavailable, "%s is of an earlier version, which does not give the audit as it is stored", page.Node).
			WithNext("upgrade it, or check a node's copy: `unibusd audit verify --file audit.jsonl`")
	}
	return *page.Raw, nil
}

// UserGet returns one user. KindNotFound.
func (c *Client) UserGet(ctx context.Context, id string) (core.User, error) {
	return call[core.User](ctx, c, TargetAny, verbUserGet, userRequest{ID: id})
}

// UserSeen returns one user, and when they had a session last. KindNotFound.
func (c *Client) UserSeen(ctx context.Context, id string) (UserSeen, error) {
	return call[UserSeen](ctx, c, TargetAny, verbUserGet, userRequest{ID: id})
}

// UserRevoke denies a user from now on. KindNotFound.
func (c *Client) UserRevoke(ctx context.Context, id string) (core.User, error) {
	return call[core.User](ctx, c, TargetAny, verbUserRevoke, userRequest{ID: id})
}

// Revoke is UserRevoke with what became of the user's sessions and rooms. KindNotFound.
func (c *Client) Revoke(ctx context.Context, id string) (Revoked, error) {
	return call[Revoked](ctx, c, TargetAny, verbUserRevoke, userRequest{ID: id})
}

// OperatorRemove has every node refuse an operator's key from now on. KindNotFound,
// and KindRefused for oneself and for the last admin.
func (c *Client) OperatorRemove(ctx context.Context, key string) (OperatorRemoved, error) {
	return call[OperatorRemoved](ctx, c, TargetAny, verbOperatorRemove, operatorRequest{ID: key})
}

// Rollout says whether enforce can be turned on everywhere, and whom it would deny.
func (c *Client) Rollout(ctx context.Context) (Rollout, error) {
	return call[Rollout](ctx, c, TargetAny, verbRollout, nil)
}

// UserReplace gives a user's plain rooms, memberships and roles to another key, and
// revokes the old one. After an error the same call completes it. KindNotFound; KindRefused for
// a new key that is revoked, an operator's, of another role or with rooms of its own.
func (c *Client) UserReplace(ctx context.Context, id, to string) (Replaced, error) {
	return call[Replaced](ctx, c, TargetAny, verbUserReplace, replaceRequest{ID: id, To: to})
}

// NodeAdd has every node accept a node of a new name. KindRefused for a removed one,
// KindExists for one that is configured.
func (c *Client) NodeAdd(ctx context.Context, name string) (NodeChanged, error) {
	return call[NodeChanged](ctx, c, TargetAny, verbNodeAdd, nodeRequest{Name: name})
}

// NodeRemove takes a node that is down out of every raft group, for good; one that is drained
// stops first. After KindUnavailable the same call completes it. KindNotFound; KindRefused for
// a node that runs and is not drained, and where a group would lose its quorum.
func (c *Client) NodeRemove(ctx context.Context, name string) (NodeChanged, error) {
	return call[NodeChanged](ctx, c, c.targetBeside(ctx, name), verbNodeRemove, nodeRequest{Name: name})
}

// targetBeside is any node but the named one, which cannot see its own end. While it is not
// connected, it is not asked anyway.
func (c *Client) targetBeside(ctx context.Context, name string) Target {
	st, err := c.Status(ctx)
	if err != nil || st.From != name {
		return TargetAny
	}
	for _, n := range st.Nodes {
		if n.Name != name && n.Reachable() {
			return TargetNode(n.Name)
		}
	}
	return TargetAny
}

// NodeFence has every node that is left refuse a lost one, for good. KindNotFound;
// KindRefused for a node that runs, where a majority answers, and where no rescue is possible.
func (c *Client) NodeFence(ctx context.Context, name string) (NodeChanged, error) {
	return call[NodeChanged](ctx, c, TargetAny, verbNodeFence, nodeRequest{Name: name})
}

// NodeRescue lowers the meta group's quorum to the number of nodes that are left, for some
// minutes, and removes the fenced ones. After KindUnavailable the same call completes it.
// KindInvalid for another number; KindRefused where a silent node is not fenced, a majority
// answers, or no rescue is possible.
func (c *Client) NodeRescue(ctx context.Context, quorum int) (Rescued, error) {
	return call[Rescued](ctx, c, TargetAny, verbNodeRescue, rescueRequest{Quorum: quorum})
}

// NodeEvacuate has spare nodes take the replicas of a node that is down, and does not wait
// for the copies: cluster.EvacuationPending says what is left. KindNotFound; KindRefused
// where the node could not be removed either.
func (c *Client) NodeEvacuate(ctx context.Context, name string) (Done, error) {
	return call[Done](ctx, c, TargetAny, verbNodeEvacuate, nodeRequest{Name: name})
}

// NodeDrain has a node lead nothing and serve no users for a time. DrainState says what
// is left there, if the request's time was too short. The same call again gives another
// end. KindNotFound; KindRefused where the others would not hold without it.
func (c *Client) NodeDrain(ctx context.Context, name string, last time.Duration) (NodeDrained, error) {
	return call[NodeDrained](ctx, c, TargetAny, verbNodeDrain, drainRequest{Name: name, For: last.Milliseconds()})
}

// BucketScale gives every bucket of the control plane a number of replicas, and returns once
// all are current. After KindUnavailable the same call completes it. KindRefused for more than
// there are nodes, and for fewer while a replica is not current or a node asks for more.
func (c *Client) BucketScale(ctx context.Context, replicas int) (Done, error) {
	return call[Done](ctx, c, TargetAny, verbBucketScale, ScaleRequest{Replicas: replicas})
}

// StepDown asks the leader of "meta" or of a bucket to hand over, to a node or to any node ("").
func (c *Client) StepDown(ctx context.Context, group, to string) (Done, error) {
	return call[Done](ctx, c, TargetAny, verbStepDown, stepDownRequest{Group: group, To: to})
}
