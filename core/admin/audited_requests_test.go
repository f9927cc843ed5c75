package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/request"
)

// steps is a guard, and recorder its auditor, that write down what happens in which order.
type steps struct {
	clusterViewer
	done               []string
	known, used, noLog error // what the guard says at once and by the cluster, and the audit
	view               cluster.View
	recorded           chan struct{} // closed once the intent is there
}

func (s *steps) add(format string, args ...any) {
	s.done = append(s.done, fmt.Sprintf(format, args...))
}

// Begin is both the guard's and, by recorder, the audit's.
func (s *steps) Begin(_ context.Context, key, subject string, _ map[string][]string, _ []byte, restores bool) (auth.Once, error) {
	s.add("new here %s %s %v", key, subject, restores)
	return func(context.Context) error {
		<-s.recorded // the two are asked at the same time: here the audit answers first
		s.add("new in the cluster")
		return s.used
	}, s.known
}

func (s *steps) Check(string, string, map[string][]string, []byte) error { return nil }

// recorder is the auditor of steps.
type recorder struct{ *steps }

func (s recorder) Begin(_ context.Context, in audit.Intent) (audit.Action, error) {
	s.add("intent %s %s %q %v", in.By.Name, in.Verb, in.Args, in.Restores)
	close(s.recorded)
	return audit.Action{ID: "7"}, s.noLog
}

func (s recorder) End(_ context.Context, a audit.Action, result error) {
	s.add("outcome %s %v", a.ID, result)
}

func (s recorder) Page(context.Context, audit.Query) (audit.Page, error) { return audit.Page{}, nil }

func (s recorder) RawPage(context.Context, uint64) (audit.RawPage, error) {
	return audit.RawPage{}, nil
}

func (s *steps) View(context.Context) cluster.View { return s.view }

func (s *steps) Note(cluster.Level, string, string) {}

// TestAuditIntentBeforeOutcome: nothing is done before the request is known to be new and
// its intent is recorded. A recorded intent has an outcome, also if the request was used
// before.
func TestAuditIntentBeforeOutcome(t *testing.T) {
	t.Parallel()
	const here, intended, everywhere, done = "new here UA sub true", `intent ana user-revoke "id=UB" true`, "new in the cluster", "done"
	refused, unavailable := core.Errorf(core.KindRefused, "used before"), core.Errorf(core.KindUnavailable, "no quorum")
	for name, c := range map[string]struct {
		known, used, noLog, result error
		want                       []string
	}{
		"done":                    {want: []string{here, intended, everywhere, done, "outcome 7 <nil>"}},
		"it fails":                {result: errors.New("broke"), want: []string{here, intended, everywhere, done, "outcome 7 broke"}},
		"no audit":                {noLog: unavailable, want: []string{here, intended, everywhere}},
		"used before here":        {known: refused, want: []string{here}},
		"used before elsewhere":   {used: refused, want: []string{here, intended, everywhere, "outcome 7 used before"}},
		"it cannot be determined": {used: unavailable, want: []string{here, intended, everywhere, "outcome 7 no quorum"}},
		"no quorum at all":        {used: unavailable, noLog: unavailable, want: []string{here, intended, everywhere}},
	} {
		st := &steps{known: c.known, used: c.used, noLog: c.noLog, recorded: make(chan struct{})}
		s := NewService(ServiceConfig{Guard: st, Audit: recorder{st}, Cluster: st, Log: slog.New(slog.DiscardHandler)})
		f := s.serveChange(verbUserRevoke, Rules()[verbUserRevoke], func(context.Context, core.Operator, []byte) (any, error) {
			st.add("done")
			return "x", c.result
		}, request.Call{Subject: "sub"})
		out, err := f(t.Context(), core.Operator{Key: "UA", Name: "ana"}, []byte(`{"id":"UB"}`))
		if d := cmp.Diff(c.want, st.done); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
		if want := errors.Join(c.known, c.used, c.noLog, c.result); (err == nil) != (want == nil) || want == nil && out != "x" {
			t.Errorf("%s: %v, %v", name, out, err)
		}
	}
}

// TestWhatIsMissingIsNamed: an act that could not be recorded names missing nodes where a
// majority is missing. While a majority elects a leader, it says that and to repeat it.
func TestWhatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	now := core.MillisOf(time.Now())
	nodes := []cluster.Node{{Name: "n1", Online: true}, {Name: "n2", Online: true}, {Name: "n3"}}
	long := now - 3_600_000
	for name, c := range map[string]struct {
		meta       cluster.Meta
		text, next string
	}{
		"no majority":            {cluster.Meta{Leader: "n3", Size: 3, Online: 1, Needed: 2, Since: long}, "no quorum: 1 of 3 nodes answer", "which nodes are down"},
		"its leader is down":     {cluster.Meta{Leader: "n3", Size: 3, Online: 2, Needed: 2, Since: long}, "elect a leader", "run it again"},
		"no leader for a second": {cluster.Meta{Size: 3, Online: 2, Needed: 2, Since: now - 1000}, "elect a leader", "run it again"},
		"no leader for an hour":  {cluster.Meta{Size: 3, Online: 2, Needed: 2, Since: long}, "not recorded", "ask"},
		"a leader for an hour":   {cluster.Meta{Leader: "n1", Size: 3, Online: 2, Needed: 2, Since: long}, "not recorded", "ask"},
	} {
		st := &steps{recorded: make(chan struct{}), noLog: core.Errorf(core.KindUnavailable, "not recorded").WithOutcome(core.OutcomeNone).WithNext("ask")}
		st.view = cluster.View{Clustered: true, At: now, Nodes: nodes, Meta: c.meta}
		s := NewService(ServiceConfig{Guard: st, Audit: recorder{st}, Cluster: st, Log: slog.New(slog.DiscardHandler)})
		f := s.serveChange(verbUserAdd, Rules()[verbUserAdd], func(context.Context, core.Operator, []byte) (any, error) { return nil, nil }, request.Call{})
		_, err := f(t.Context(), core.Operator{}, nil)
		if e := core.AsError(err); !strings.Contains(e.Text, c.text) || !strings.Contains(e.Next, c.next) || e.Outcome != core.OutcomeNone {
			t.Errorf("%s: %s; %s; outcome %q", name, e.Text, e.Next, e.Outcome)
		}
	}
}

// TestEveryVerbHasARule, and the verbs that restore a quorum are those that the documents name.
func TestEveryVerbHasARule(t *testing.T) {
	t.Parallel()
	rules := Rules()
	s := &Service{cfg: ServiceConfig{Migrator: movers{}}}
	if d := cmp.Diff(slices.Sorted(maps.Keys(s.verbs())), slices.Sorted(maps.Keys(rules))); d != "" {
		t.Errorf("answered and ruled:\n%s", d)
	}
	var restores, parts []Verb
	for v, r := range rules {
		if r.Role != core.OperatorViewer && r.Role != core.OperatorAdmin {
			t.Errorf("%s needs the role %q", v, r.Role)
		}
		if r.IsPartOfAct {
			parts = append(parts, v)
		}
		if r.IsPartOfAct && (r.Role != core.OperatorAdmin || r.Acts()) {
			t.Errorf("%s: %+v", v, r)
		}
		if r.WorksWithoutQuorum {
			restores = append(restores, v)
			if r.Role != core.OperatorAdmin {
				t.Errorf("%s changes nothing", v)
			}
		}
	}
	slices.Sort(restores)
	slices.Sort(parts)
	if d := cmp.Diff([]Verb{verbMigratePause, verbNodeFence, verbNodeRescue, verbOperatorRemove, verbStepDown, verbSupport, verbUserRevoke}, restores); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Verb{verbBackupPart, verbRestorePart}, parts); d != "" { // what is neither signed nor recorded changes nothing
		t.Error(d)
	}
}

// TestWhatAViewerMayAsk: a viewer looks, and nothing more. Every other verb changes
// something or reads everything, and so is signed and recorded.
func TestWhatAViewerMayAsk(t *testing.T) {
	t.Parallel()
	var looks, silent []Verb
	for v, r := range Rules() {
		switch {
		case r.Role == core.OperatorViewer:
			looks = append(looks, v)
		case !r.Acts():
			silent = append(silent, v)
		}
	}
	slices.Sort(looks)
	slices.Sort(silent)
	if d := cmp.Diff([]Verb{"audit", "doctor", "events", "flags", "history", "identify", "migration", "rollout", "room-get", "room-page", "room-statements", "session-page", "status", "user-get", "user-page"}, looks); d != "" {
		t.Errorf("a viewer may ask (- expected, + found):\n%s", d)
	}
	if d := cmp.Diff([]Verb{"backup-part", "restore-part"}, silent); d != "" { // parts of a backup, and of a restore, that are signed and recorded
		t.Errorf("an admin's, and neither signed nor recorded (- expected, + found):\n%s", d)
	}
}

type movers struct{ Migrator }

// TestSummarySaysNoSecrets: only fields that are known to be none, and never more than a line.
func TestSummarySaysNoSecrets(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		``:                              "",
		` `:                             "",
		`{}`:                            "",
		`{"id":"UB"}`:                   "id=UB",
		`{"replicas":3}`:                "replicas=3",
		`{"group":"meta","to":""}`:      "group=meta",
		`{"token":"x"}`:                 "",
		`{"seed":"SUA","password":"x"}`: "",
		`{"id":"UB","kem_key":"c2Vj","name":"Ana B","role":"admin","status":""}`: `id=UB name="Ana B" role=admin`,
		`{"name":"a\nb\u001b[2J"}`:                                       `name="a\nb\x1b[2J"`,
		`{"id":"UB","expires":1801440000000}`:                            `id=UB expires=2027-02-01T00:00:00Z`,
		`{"id":"UB","expires":0}`:                                        `id=UB expires=never`,
		`{"id":"UB","expires":"a b"}`:                                    `id=UB expires="a b"`,
		`{"name":"id=UB"}`:                                               `name="id=UB"`,
		`{"db":"/a/b.db","replicas":0,"no_backup":true,"dry_run":false}`: "db=/a/b.db no_backup=true",
		`{"id":{"seed":"SUA"},"name":["x"],"role":null}`:                 "",
		`{"db":"/a/b.db","discard":["n2","n3"]}`:                         "db=/a/b.db discard=n2,n3",
		`{"discard":["n 2","n3"]}`:                                       `discard="n 2,n3"`,
		`{"ignore":["users.note","more"]}`:                               "ignore=users.note,more",
		`{"discard":[]}`:                                                 "",
		`{"discard":["n2",{"seed":"SUA"}]}`:                              "",
		`[1]`:                                                            "a request that cannot be read",
		`{"id":`:                                                         "a request that cannot be read",
		`{"name":"` + strings.Repeat("x", 500) + `"}`:                    "name=" + strings.Repeat("x", core.MaxName+44) + "…",
	} {
		if got := summary([]byte(body)); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// TestServersReasonArrives: a node gives a request up before the client does, so that
// the client hears the reason.
func TestServersReasonArrives(t *testing.T) {
	t.Parallel()
	s := NewService(ServiceConfig{Node: "n1", Migrator: movers{}})
	client := NewClient(ClientConfig{}).cfg.Timeout
	rules := Rules()
	for _, svc := range s.services() {
		for _, e := range svc.Endpoints {
			verb := Verb(e.Subject[strings.LastIndex(e.Subject, ".")+1:])
			if waits := rules[verb].within(client); e.Timeout+time.Second > waits {
				t.Errorf("%s: the node takes up to %s, and the client waits %s", e.Subject, e.Timeout, waits)
			}
		}
	}
}

// TestVerbsWithoutAQuorumHaveTime: a verb that goes on without a quorum has waited for the audit
// and the nonces, 1.2 s each, before it observes the cluster. The observation may take ten
// deadlines of 0.7 s.
func TestVerbsWithoutAQuorumHaveTime(t *testing.T) {
	t.Parallel()
	for verb, r := range Rules() {
		if has := r.within(clientTimeout) - answerMargin; r.WorksWithoutQuorum && has < 2*1200*time.Millisecond+7*time.Second {
			t.Errorf("%s has %s", verb, has)
		}
	}
}
