package node_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
	"unibus/core/binding"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/store/storetest"
)

// hostileWorld is a replicated cluster with one identity of every role.
type hostileWorld struct {
	*nodetest.Cluster
	roles map[string]keys.Identity
	b     keys.Identity // a user, and
	op    keys.Identity // an operator of role admin, who only are attacked
}

func newHostileWorld(t *testing.T) *hostileWorld {
	t.Helper()
	system, auditor, other, otherAuditor, op := nodetest.Identity(t), nodetest.Identity(t), nodetest.Identity(t), nodetest.Identity(t), nodetest.Identity(t)
	c := nodetest.Start(t, nodetest.Config{Store: core.BackendKV, BusAuth: core.BusAuthSoft, Operators: []core.Operator{ // soft also admits clients without an identity
		operator(system, core.OperatorSystem, "sys"), operator(auditor, core.OperatorAuditor, "aud"),
		operator(other, core.OperatorSystem, "sys2"), operator(otherAuditor, core.OperatorAuditor, "aud2"), operator(op, core.OperatorAdmin, "ben"),
	}})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	a, b := nodetest.Identity(t), nodetest.Identity(t)
	if _, err := storetest.Import(t.Context(), store(t, c, 0), seed(a, b)); err != nil {
		t.Fatal(err)
	}
	ready(t, c, 0)
	signedAudit(t, c)
	return &hostileWorld{Cluster: c, b: b, op: op, roles: map[string]keys.Identity{
		"admin": c.Admin, "viewer": c.Viewer, "system": system, "auditor": auditor, "user": a, "other system": other, "other auditor": otherAuditor,
	}}
}

// signedAudit waits for the checkpoint that a node signs once there is a record: later
// it would be a change that nobody asked for. It may come before the outcome of the first
// action.
func signedAudit(t *testing.T, c *nodetest.Cluster) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		js, err := jetstream.New(c.Nodes[0].StoreConn())
		if err != nil {
			return err
		}
		s, err := js.Stream(t.Context(), auth.AuditStream)
		if err != nil {
			return err
		}
		for seq := range s.CachedInfo().State.LastSeq {
			record, err := s.GetMsg(t.Context(), seq+1)
			if err != nil || strings.Contains(string(record.Data), `"checkpoint"`) {
				return err
			}
		}
		return errors.New("the audit has no checkpoint")
	})
}

// grant is the grant that a node gives an identity.
func (w *hostileWorld) grant(t *testing.T, id keys.Identity) auth.Grant {
	t.Helper()
	r := auth.Request{Key: id.Public(), Nonce: []byte("nonce"), Remote: "127.0.0.1:1"}
	if r.Key != "" {
		signature, err := id.Sign(r.Nonce)
		if err != nil {
			t.Fatal(err)
		}
		r.Signature = signature
	}
	g, err := w.Nodes[0].Decide(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// catalog is every subject to which a server or a service here reacts, for any caller. A
// grant is tried with those of them that it matches.
func (w *hostileWorld) catalog(t *testing.T) []string {
	t.Helper()
	all := slices.Concat(w.systemSubjects(), w.streamSubjects(), []string{
		"$SRV.PING", "$SRV.INFO", "$SRV.STATS", "unibus.peer.v1.all.x", "unibus.events.v1", "unibus.audit.n1.x", "unibus.monitor.connz", "foo",
	})
	for _, name := range slices.Sorted(maps.Keys(w.roles)) {
		key := w.roles[name].Public()
		for verb := range admin.Rules() {
			for _, target := range []admin.Target{admin.TargetAny, "all", admin.TargetNode("n2")} {
				all = append(all, admin.Subject(key, target, verb))
			}
		}
		for method := range control.Rules() {
			all = append(all, control.Subject(key, method))
		}
		for _, room := range []core.RoomID{"plain", "sealed", "none"} {
			all = append(all, auth.RoomSubject(room, key), control.EventSubject(room))
		}
		all = append(all, "_INBOX."+key+".x")
	}
	for _, api := range slices.Clone(all) {
		if rest, ok := strings.CutPrefix(api, "$JS.API."); ok {
			all = append(all, auth.AuditPrefix+rest)
		}
	}
	return all
}

// systemSubjects are those that nats-server itself answers in its system account.
func (w *hostileWorld) systemSubjects() []string {
	all := []string{"$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.CLAIMS.DELETE", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.STATZ"}
	targets := []string{"PING"}
	for _, n := range w.Nodes {
		targets = append(targets, n.ServerID())
	}
	for _, target := range targets {
		for _, name := range []string{
			"IDZ", "STATSZ", "VARZ", "SUBSZ", "CONNZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ", "HEALTHZ", "PROFILEZ", "EXPVARZ",
			"IPQUEUESZ", "RAFTZ", "KICK", "LDM", "RELOAD",
		} {
			all = append(all, "$SYS.REQ.SERVER."+target+"."+name)
		}
	}
	for _, account := range []string{"SYS", "CONTROL", "BUS", "PING"} {
		for _, name := range []string{"CONNZ", "CONNS", "SUBSZ", "LEAFZ", "JSZ", "INFO", "STATZ", "CLAIMS.UPDATE"} {
			all = append(all, "$SYS.REQ.ACCOUNT."+account+"."+name)
		}
	}
	return all
}

// streamSubjects are those of JetStream's API and of its streams.
func (w *hostileWorld) streamSubjects() []string {
	all := []string{"$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES"}
	for _, stream := range []string{"KV_UNIBUS_users", "KV_UNIBUS_control", "UNIBUS_audit", "UNIBUS_events"} {
		for _, api := range []string{
			"STREAM.INFO.", "STREAM.MSG.GET.", "STREAM.DELETE.", "STREAM.PURGE.", "STREAM.MSG.DELETE.", "STREAM.LEADER.STEPDOWN.", "STREAM.SNAPSHOT.",
			"STREAM.PEER.REMOVE.", "CONSUMER.CREATE.", "CONSUMER.NAMES.", "CONSUMER.LIST.", "DIRECT.GET.",
		} {
			all = append(all, "$JS.API."+api+stream)
		}
	}
	return append(all, w.places()...)
}

// places are the subjects at which a hostile message must never arrive.
func (w *hostileWorld) places() []string {
	op, b := w.op.Public(), w.b.Public()
	return []string{
		"$JS.API.ACCOUNT.PURGE.CONTROL", "$JS.API.STREAM.DELETE.KV_UNIBUS_users", "$JS.API.STREAM.PURGE.KV_UNIBUS_users",
		"$JS.API.STREAM.PURGE.UNIBUS_audit", "$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE", "$JS.API.STREAM.LEADER.STEPDOWN.KV_UNIBUS_users",
		"$JSC.STREAM.INFO.x", "$NRG.P._meta_", "$NRG.AE._meta_", "$NRG.V._meta_", "$NRG.R.hostile", "$SYS.REQ.SERVER." + w.Nodes[1].ServerID() + ".RELOAD",
		"$SYS.REQ.SERVER." + w.Nodes[1].ServerID() + ".KICK", "$SYS.REQ.SERVER." + w.Nodes[1].ServerID() + ".LDM", "$SYS.ACCOUNT.CONTROL.hostile",
		"$SYS.REQ.CLAIMS.UPDATE", "$KV.UNIBUS_users." + b, "$KV.UNIBUS_users._authority", "$KV.UNIBUS_control.authority", "$KV.UNIBUS_nonces.hostile",
		"$SRV.PING", "_INBOX." + op + ".hostile", "_INBOX." + b + ".hostile", "_INBOX.hostile.x", "unibus.peer.v1.all.hostile",
		"unibus.admin.v1." + op + ".any.user-revoke", "unibus.control.v1." + b + ".leave", "unibus.events.hostile", "unibus.audit.n1.hostile", "unibus.history.hostile",
		"$JS.API.STREAM.PURGE.UNIBUS_events", "unibus.room.plain._control", "unibus.room.plain." + b,
	}
}

// mayUse are the subjects of the catalog to which a grant lets its holder publish, and
// those that it names itself.
func mayUse(t *testing.T, g auth.Grant, catalog []string) []string {
	t.Helper()
	var subjects []string
	for _, pattern := range g.Publish {
		n := len(subjects)
		for _, s := range append(slices.Clone(catalog), pattern) {
			if !strings.ContainsAny(s, "*>") && matches(pattern, s) && !slices.Contains(subjects, s) {
				subjects = append(subjects, s)
			}
		}
		if len(subjects) == n && !slices.ContainsFunc(subjects, func(s string) bool { return matches(pattern, s) }) {
			t.Errorf("%s may publish to %s, of which the catalog has no example", g.Name, pattern)
		}
	}
	return subjects
}

// matches says whether a pattern matches a subject.
func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		switch {
		case token == ">":
			return len(s) > i
		case i >= len(s) || token != "*" && token != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}

// attack sends every message that can be made of one subject and one place: a request whose
// reply goes there, and the headers that make a server write elsewhere.
func attack(nc *nats.Conn, sign func(*nats.Msg) error, subject, place string) error {
	var errs []error
	proper := &nats.Msg{Subject: subject, Data: []byte("{}")}
	errs = append(errs, sign(proper))
	proper.Reply = place
	errs = append(errs, nc.PublishMsg(proper))
	for _, header := range []nats.Header{
		{"Nats-Trace-Dest": {place}},
		{"Nats-Trace-Dest": {place}, "Nats-Trace-Only": {"true"}},
		{"Nats-Schedule": {"@every 1s"}, "Nats-Schedule-Target": {place}, "Nats-Schedule-TTL": {"5m"}},
		{"Nats-Rollup": {"all"}, "Nats-TTL": {"1s"}},
		{"Nats-Batch-Id": {"hostile"}, "Nats-Batch-Sequence": {"1"}, "Nats-Batch-Commit": {"1"}},
	} {
		errs = append(errs, nc.PublishMsg(&nats.Msg{Subject: subject, Reply: place, Header: header, Data: []byte("{}")}))
	}
	return errors.Join(errs...)
}

// signerOf signs what only reads, so that it is not refused for its signature before its
// reply subject is used. Requests that change something are sent unsigned.
func signerOf(as *binding.Binding, subject string) func(*nats.Msg) error {
	verb := admin.Verb(subject[strings.LastIndex(subject, ".")+1:])
	rule, known := admin.Rules()[verb]
	if as == nil || !strings.HasPrefix(subject, auth.AdminPrefix) || !known || rule.Acts() {
		return func(*nats.Msg) error { return nil }
	}
	return func(m *nats.Msg) error { return as.Sign(m, time.Now()) }
}

// TestHostileRepliesChangeNothing tries, for every role, every subject to which it may
// publish with every place where an answer would be a write with another's rights. The
// node's own grants say what may be published, so a grant that is widened is tried too.
func TestHostileRepliesChangeNothing(t *testing.T) {
	t.Parallel()
	w := newHostileWorld(t)
	catalog, places := w.catalog(t), w.places()
	key := w.Client(0, w.Admin).ClusterKey()
	before := w.state(t)
	heard := w.listen(t, places)
	for _, name := range slices.Sorted(maps.Keys(w.roles)) {
		nc := connect(t, w.Cluster, 0, w.roles[name]).Conn
		w.attackAs(t, name, nc, binding.New(nc, w.roles[name], key), w.grant(t, w.roles[name]), catalog, places)
	}
	w.settle(t)
	heard.nothing(t, "")
	nc, err := nats.Connect(w.URL(0), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	w.attackAs(t, "anonymous", nc, nil, w.grant(t, keys.Identity{}), catalog, places)
	w.settle(t)
	heard.nothing(t, auth.AccountBus) // in BUS a client without an identity may speak in every room and as every user
	w.unchanged(t, before)
	w.restart(t)
	w.unchanged(t, before)
}

// attackAs sends everything that a grant allows to every place where its holder may neither
// publish nor subscribe.
func (w *hostileWorld) attackAs(t *testing.T, name string, nc *nats.Conn, as *binding.Binding, g auth.Grant, catalog, places []string) {
	t.Helper()
	subjects := mayUse(t, g, catalog)
	t.Logf("%s: %d subjects", name, len(subjects))
	elsewhere := slices.DeleteFunc(slices.Clone(places), func(place string) bool {
		return g.Account != auth.AccountSystem && slices.ContainsFunc(slices.Concat(g.Publish, g.Subscribe), func(p string) bool { return matches(p, place) })
	})
	for _, subject := range subjects {
		for _, place := range elsewhere {
			if err := attack(nc, signerOf(as, subject), subject, place); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if err := nc.FlushTimeout(60 * time.Second); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// hearings collects messages that arrived at a forbidden place.
type hearings struct {
	mu   sync.Mutex
	what map[string]string
}

func (h *hearings) hear(account string) nats.MsgHandler {
	return func(m *nats.Msg) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.what[m.Subject+" in "+account] = fmt.Sprintf("%.80q %v", m.Data, m.Header) // one example of each
	}
}

// nothing fails if a message arrived, except in one account.
func (h *hearings) nothing(t *testing.T, but string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for where, what := range h.what {
		if but == "" || !strings.HasSuffix(where, " in "+but) {
			t.Errorf("arrived at %s: %s", where, what)
		}
	}
}

// listen subscribes to the places in every account that an identity of the process can enter,
// and to the inboxes of the attacked.
func (w *hostileWorld) listen(t *testing.T, places []string) *hearings {
	t.Helper()
	h := &hearings{what: map[string]string{}}
	subscribe := func(nc *nats.Conn, account, subject string, handler nats.MsgHandler) {
		t.Helper()
		sub, err := nc.Subscribe(subject, handler)
		if err == nil {
			t.Cleanup(func() { _ = sub.Unsubscribe() })
			err = nc.FlushTimeout(10 * time.Second)
		}
		if err != nil {
			t.Fatalf("%s in %s: %v", subject, account, err)
		}
	}
	for _, place := range places {
		raft := strings.HasPrefix(place, "$NRG.")
		for account, nc := range map[string]*nats.Conn{auth.AccountControl: w.Nodes[2].StoreConn(), auth.AccountSystem: w.Nodes[2].SystemConn()} {
			handler := h.hear(account)
			subscribe(nc, account, place, func(m *nats.Msg) {
				if !raft || strings.HasPrefix(string(m.Data), "{") { // raft itself speaks no JSON
					handler(m)
				}
			})
		}
	}
	b, op, sys, aud := connect(t, w.Cluster, 2, w.b), connect(t, w.Cluster, 2, w.op), connect(t, w.Cluster, 2, w.roles["other system"]), connect(t, w.Cluster, 2, w.roles["other auditor"])
	subscribe(b.Conn, auth.AccountBus, "unibus.room.plain."+w.b.Public(), h.hear(auth.AccountBus))
	subscribe(b.Conn, auth.AccountBus, "unibus.room.plain._control", h.hear(auth.AccountBus))
	subscribe(b.Conn, auth.AccountBus, "_INBOX."+w.b.Public()+".>", h.hear(auth.AccountBus))
	subscribe(op.Conn, "another admin's", "_INBOX."+w.op.Public()+".>", h.hear("another admin's"))
	subscribe(sys.Conn, "another system operator's", "_INBOX.>", h.hear("another system operator's"))
	subscribe(aud.Conn, "another auditor's", "_INBOX.>", h.hear("another auditor's"))
	return h
}

// settle waits until earlier messages are answered. Each responder handles one request after the other.
func (w *hostileWorld) settle(t *testing.T) {
	t.Helper()
	for i := range w.Nodes {
		cl := w.Client(i, w.Admin)
		nodetest.Wait(t, 60*time.Second, func() error {
			_, err := cl.Status(t.Context())
			return err
		})
	}
	for _, name := range []string{"STATSZ", "JSZ", "CONNZ", "VARZ", "IDZ"} {
		nodetest.Wait(t, 60*time.Second, func() error {
			_, err := w.Nodes[0].SystemConn().Request("$SYS.REQ.SERVER."+w.Nodes[1].ServerID()+"."+name, nil, 10*time.Second)
			return err
		})
	}
}

// state is every stream with its creation time and messages, and the peers of the meta group.
func (w *hostileWorld) state(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	nodetest.Wait(t, 60*time.Second, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		js, err := jetstream.New(w.Nodes[0].StoreConn())
		if err != nil {
			return err
		}
		clear(out)
		list := js.ListStreams(ctx)
		for info := range list.Info() {
			rows, err := messages(ctx, js, info)
			if err != nil {
				return err
			}
			out[info.Config.Name] = fmt.Sprintf("made %s, %d replicas, %s", info.Created.UTC(), info.Config.Replicas, rows)
		}
		if list.Err() != nil {
			return list.Err()
		}
		if err := allListed(ctx, js, out); err != nil {
			return err
		}
		st, err := w.Client(0, w.Admin).Status(ctx)
		if err != nil {
			return err
		}
		out["meta group"] = fmt.Sprintf("%d of %d, needs %d, led: %v, orphans: %v", st.Meta.Online, st.Meta.Size, st.Meta.Needed, st.Meta.Leader != "", st.Meta.OrphanPeers)
		return nodetest.CheckReplicated(st, 3)
	})
	return out
}

// allListed fails where the meta group knows a stream that the list lacks: nats-server
// leaves out a stream whose leader did not answer in time.
func allListed(ctx context.Context, js jetstream.JetStream, listed map[string]string) error {
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		if _, ok := listed[name]; !ok {
			return fmt.Errorf("%s did not answer", name)
		}
	}
	return names.Err()
}

// messages are the subjects and contents of a stream, without the proofs that its readers write.
func messages(ctx context.Context, js jetstream.JetStream, info *jetstream.StreamInfo) (string, error) {
	s, err := js.Stream(ctx, info.Config.Name)
	if err != nil {
		return "", err
	}
	var rows []string
	for seq := max(1, info.State.FirstSeq); seq <= info.State.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			continue
		case err != nil:
			return "", err
		case strings.Contains(m.Subject, "._barrier."):
			continue
		}
		rows = append(rows, fmt.Sprintf("%s %x", m.Subject, sha256.Sum256(m.Data)))
	}
	if info.Config.Name != auth.EventStream { // whose order is compared
		slices.Sort(rows)
	}
	return strings.Join(rows, "\n"), nil
}

// unchanged compares two states. The nodes themselves go on with the events, so that of those
// only the earlier ones have to be the same, and later ones have to be the nodes'.
func (w *hostileWorld) unchanged(t *testing.T, before map[string]string) {
	t.Helper()
	after := w.state(t)
	added, isLonger := strings.CutPrefix(after[auth.EventStream], before[auth.EventStream])
	for line := range strings.Lines(added) {
		if subject, _, _ := strings.Cut(line, " "); subject != "\n" && !slices.Contains([]string{"unibus.history.n1", "unibus.history.n2", "unibus.history.n3"}, subject) {
			t.Errorf("the events have a message that is not a node's: %s", line)
		}
	}
	if isLonger {
		after[auth.EventStream] = before[auth.EventStream]
	}
	if diff := gocmp.Diff(before, after); diff != "" {
		t.Errorf("changed (-before +after):\n%s", diff)
	}
}

// restart stops all nodes and starts them again with what is on their disks.
func (w *hostileWorld) restart(t *testing.T) {
	t.Helper()
	errs := make(chan error, len(w.Nodes))
	for _, n := range w.Nodes {
		go func() { errs <- n.Close() }()
	}
	for range w.Nodes {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.Nodes {
		go func() { errs <- w.Open(i) }()
	}
	for range w.Nodes {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	w.WaitServing(core.BackendKV, 0, 1, 2)
}
