package feed_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/doctor"
	"unibus/core/guide"
	"unibus/core/migrate"
	"unibus/tui/feed"
)

// fakeSource answers from its functions; a nil function blocks until the request
// times out.
type fakeSource struct {
	status          func() (admin.Status, error)
	history         func(r admin.HistoryRequest) (admin.History, error)
	users           func(r core.UserPageRequest) (core.UserPage, error)
	rooms           func(r core.RoomPageRequest) (admin.RoomPage, error)
	audit           func(r admin.AuditRequest) (admin.Audit, error)
	rolloutRequests int
	trustedReads    int
	sessionReads    []core.UserID
	keyReads        int
	comparisons     int
}

func (s *fakeSource) StatusOf(ctx context.Context, _ string) (admin.Status, error) {
	return s.Status(ctx)
}

func (s *fakeSource) Status(ctx context.Context) (admin.Status, error) {
	if s.status == nil {
		<-ctx.Done()
		return admin.Status{}, ctx.Err()
	}
	return s.status()
}

func (s *fakeSource) History(ctx context.Context, r admin.HistoryRequest) (admin.History, error) {
	if s.history == nil {
		<-ctx.Done()
		return admin.History{}, ctx.Err()
	}
	return s.history(r)
}

func (s *fakeSource) UserPage(_ context.Context, r core.UserPageRequest) (core.UserPage, error) {
	return s.users(r)
}

func (s *fakeSource) Migration(context.Context) (migrate.Status, error) {
	return migrate.Status{}, nil
}

func (s *fakeSource) RoomPage(_ context.Context, r core.RoomPageRequest) (admin.RoomPage, error) {
	if s.rooms == nil {
		return admin.RoomPage{}, nil
	}
	return s.rooms(r)
}

func (s *fakeSource) MemberPage(_ context.Context, r admin.RoomRequest) (admin.RoomDetail, error) {
	return admin.RoomDetail{Room: core.Room{ID: core.RoomID(r.ID)}}, nil
}

func (s *fakeSource) Rollout(context.Context) (admin.Rollout, error) {
	s.rolloutRequests++
	return admin.Rollout{Safe: true}, nil
}

func (s *fakeSource) Audit(_ context.Context, r admin.AuditRequest) (admin.Audit, error) {
	return s.audit(r)
}

func (s *fakeSource) Doctor(context.Context, admin.DoctorRequest) (doctor.Report, error) {
	s.comparisons++
	return doctor.Report{Checks: []doctor.Check{{Name: "replicas.UNIBUS_users", State: doctor.OK}}}, nil
}

func (s *fakeSource) UserKey(_ context.Context, id string) (core.UserKey, error) {
	s.keyReads++
	return core.UserKey{}, core.Errorf(core.KindNotFound, "there is no user %s", id)
}

func (s *fakeSource) SessionPage(_ context.Context, r admin.SessionPageRequest) (admin.SessionPage, error) {
	s.sessionReads = append(s.sessionReads, r.User)
	return admin.SessionPage{Sessions: []admin.Session{{ID: "n1/7", User: r.User, Node: "n1"}}, Total: 1}, nil
}

func (s *fakeSource) TrustedCAs() *core.CABundle {
	s.trustedReads++
	return &core.CABundle{File: "ca.crt"}
}
func (s *fakeSource) Attempts() []admin.Attempt { return nil }

func (s *fakeSource) Connected() string { return "n1" }
func (s *fakeSource) Server() string    { return "tls://n1" }

func newFastFeed(s feed.Client) *feed.Feed {
	return feed.New(feed.Config{Client: s, Timeout: 20 * time.Millisecond, Interval: time.Millisecond, MigrationInterval: time.Millisecond, ListInterval: time.Millisecond})
}

// runUntil runs a feed until its snapshot is as wanted.
func runUntil(t *testing.T, f *feed.Feed, what string, ok func(s *feed.Snapshot) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	go f.Run(ctx)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok(f.Snapshot()) {
		select {
		case <-ctx.Done():
			t.Fatalf("timed out waiting for %s: %+v", what, f.Snapshot())
		case <-tick.C:
		}
	}
}

// TestLateAnswerNamesTheNode: the feed polls again by itself, so that there is no next step to name.
func TestLateAnswerNamesTheNode(t *testing.T) {
	t.Parallel()
	f := newFastFeed(&fakeSource{users: func(core.UserPageRequest) (core.UserPage, error) { return core.UserPage{}, nil }})
	runUntil(t, f, "the error of the status", func(s *feed.Snapshot) bool { return s.Status.Err != nil })
	if e := f.Snapshot().Status.Err; e.Text != "no answer from n1 within 1 s" || e.Next != "" || e.Kind != core.KindUnavailable {
		t.Errorf("%+v", e)
	}
}

func TestLastGoodValueIsKept(t *testing.T) {
	t.Parallel()
	fail := false
	s := &fakeSource{
		users:   func(core.UserPageRequest) (core.UserPage, error) { return core.UserPage{}, nil },
		history: func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil },
		status: func() (admin.Status, error) {
			if fail {
				return admin.Status{}, core.Errorf(core.KindUnavailable, "nobody answers")
			}
			return admin.Status{View: cluster.View{Cluster: "demo"}}, nil
		},
	}
	f := newFastFeed(s)
	first := f.PollOnce(context.Background())
	fail = true
	second := f.PollOnce(context.Background())
	st := second.Status
	if st.Value.Cluster != "demo" || !st.ReceivedAt.Equal(first.Status.ReceivedAt) || st.Err == nil || st.Err.Text != "nobody answers" {
		t.Errorf("after a failure the topic is %+v", st)
	}
	if first.Status.Err != nil {
		t.Error("a published snapshot was changed")
	}
	fail = false
	if st := f.PollOnce(context.Background()).Status; st.Err != nil {
		t.Errorf("after an answer the topic is %+v", st)
	}
}

func TestTopicsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	s := &fakeSource{users: func(core.UserPageRequest) (core.UserPage, error) {
		return core.UserPage{Users: []core.User{{ID: "U1"}}}, nil
	}}
	f := newFastFeed(s)
	f.Subscribe(feed.Subscription{Users: &feed.UserWindow{}, Room: "r1"})
	runUntil(t, f, "the users while the status hangs", func(s *feed.Snapshot) bool {
		return len(s.Users.Value.Users) == 1 && s.Room.Value.Room.ID == "r1" && s.Status.Err != nil && !s.Status.Known()
	})
	if err := f.Snapshot().Status.Err; err.Kind != core.KindUnavailable {
		t.Errorf("a request without an answer is %q, want unavailable", err.Kind)
	}
}

func TestAnswersAreSanitizedInACopy(t *testing.T) {
	t.Parallel()
	name := "na\ame"
	info := &cluster.Info{Version: "1\a", PID: 7}
	view := cluster.View{Cluster: "de\amo", Nodes: []cluster.Node{{Name: "n1", Info: info, Leads: []string{"a", "b\a"}}, {Name: "n2"}}}
	users := []core.User{{ID: "U1", Name: &name, KEMKey: []byte("\a")}, {ID: "U2"}}
	s := &fakeSource{
		users:   func(core.UserPageRequest) (core.UserPage, error) { return core.UserPage{Users: users}, nil },
		history: func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil },
		status:  func() (admin.Status, error) { return admin.Status{View: view}, nil },
	}
	f := feed.New(feed.Config{Client: s, Sanitize: func(text string) string { return strings.ReplaceAll(text, "\a", "?") }})
	f.Subscribe(feed.Subscription{Users: &feed.UserWindow{}})
	snap := f.PollOnce(context.Background())
	got := snap.Status.Value.View
	if got.Cluster != "de?mo" || got.Nodes[0].Info.Version != "1?" || got.Nodes[0].Info.PID != 7 || got.Nodes[0].Leads[1] != "b?" || got.Nodes[1].Name != "n2" {
		t.Errorf("the status is %+v", got)
	}
	if u := snap.Users.Value.Users[0]; *u.Name != "na?me" || string(u.KEMKey) != "\a" || u.ID != "U1" {
		t.Errorf("the user is %+v", u)
	}
	if name != "na\ame" || info.Version != "1\a" || view.Nodes[0].Leads[1] != "b\a" || *users[0].Name != "na\ame" {
		t.Error("the source's own value was changed")
	}
}

// stuckSource is reconnecting: it does not even name its node.
type stuckSource struct {
	fakeSource
	released chan struct{}
}

func (s *stuckSource) Connected() string {
	<-s.released
	return "n1"
}

func TestSubscribeDoesNotWaitForAConnection(t *testing.T) {
	t.Parallel()
	s := &stuckSource{released: make(chan struct{})}
	defer close(s.released)
	f := newFastFeed(s)
	go f.PollOnce(context.Background()) // it blocks while reading the node's name
	looked := make(chan struct{})
	go func() {
		f.Subscribe(feed.Subscription{Users: &feed.UserWindow{}})
		f.Subscribe(feed.Subscription{Audit: true})
		close(looked)
	}()
	select {
	case <-looked:
	case <-time.After(5 * time.Second):
		t.Fatal("Subscribe waits for the connection")
	}
	if s := f.Snapshot(); s.Users.ViewedSince.IsZero() || s.Audit.ViewedSince.IsZero() {
		t.Errorf("ViewedSince was not recorded: %v, %v", s.Users.ViewedSince, s.Audit.ViewedSince)
	}
}

func TestListsArePolledOnlyWhileSubscribed(t *testing.T) {
	t.Parallel()
	asked := 0
	s := &fakeSource{
		status:  func() (admin.Status, error) { return admin.Status{}, nil },
		history: func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil },
		users:   func(core.UserPageRequest) (core.UserPage, error) { asked++; return core.UserPage{}, nil },
	}
	f := newFastFeed(s)
	f.PollOnce(context.Background())
	if asked != 0 {
		t.Error("the users were polled without a subscription")
	}
	f.Subscribe(feed.Subscription{Users: &feed.UserWindow{}})
	if f.PollOnce(context.Background()); asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	if s.rolloutRequests != 0 {
		t.Error("the rollout was polled without a subscription")
	}
	f.Subscribe(feed.Subscription{Rollout: true})
	if snap := f.PollOnce(context.Background()); s.rolloutRequests != 1 || asked != 1 || !snap.Rollout.Value.Safe || snap.Audit.Known() {
		t.Errorf("the rollout was asked for %d times, the users %d, want once each", s.rolloutRequests, asked)
	}
}

func TestSamplesMeasureWritesASecond(t *testing.T) {
	t.Parallel()
	at, seq := core.Millis(1000), uint64(10)
	s := &fakeSource{
		users:   func(core.UserPageRequest) (core.UserPage, error) { return core.UserPage{}, nil },
		history: func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil },
		status: func() (admin.Status, error) {
			return admin.Status{View: cluster.View{At: at, Buckets: []cluster.Bucket{{Name: "b", LastSeq: seq}}, Nodes: []cluster.Node{{Online: true, Conns: 4}, {Conns: 9}}}}, nil
		},
	}
	f := newFastFeed(s)
	f.PollOnce(context.Background())
	at, seq = 3000, 30
	last := f.PollOnce(context.Background()).Samples
	if got := last[len(last)-1]; got.Writes != 10 || got.Conns != 4 {
		t.Errorf("sample %+v, want 10 writes a second and 4 connections", got)
	}
}

// pagedSource is a room of five pages; pages counts the requested ones.
type pagedSource struct {
	fakeSource
	pages int
}

func (p *pagedSource) MemberPage(_ context.Context, r admin.RoomRequest) (admin.RoomDetail, error) {
	p.pages++
	next := map[string]string{"": "a", "a": "b", "b": "c", "c": "d"}[r.After]
	d := admin.RoomDetail{Room: core.Room{ID: core.RoomID(r.ID)}, Count: 5, Next: next, Members: []admin.RoomMember{{Member: core.Member{User: core.UserID(r.After)}}}}
	if r.After == "" {
		d.Keys = &admin.RoomKeys{}
	}
	return d, nil
}

// TestRoomPagesAreFetchedAsSubscribed: key health comes with the first page, and
// no page is requested beyond the last.
func TestRoomPagesAreFetchedAsSubscribed(t *testing.T) {
	t.Parallel()
	for pages, want := range map[int]int{0: 1, 1: 1, 3: 3, 9: 5} {
		p := &pagedSource{}
		p.status = func() (admin.Status, error) { return admin.Status{}, nil }
		p.history = func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil }
		p.users = func(core.UserPageRequest) (core.UserPage, error) { return core.UserPage{}, nil }
		f := newFastFeed(p)
		f.Subscribe(feed.Subscription{Room: "r", RoomPages: pages})
		d := f.PollOnce(t.Context()).Room.Value
		if len(d.Members) != want || p.pages != want || d.Keys == nil || d.Count != 5 || (d.Next == "") != (want == 5) {
			t.Errorf("%d pages wanted: %d members, %d asked for, next %q", pages, len(d.Members), p.pages, d.Next)
		}
	}
}

// TestReplicasAreComparedWhileAGuideNeedsIt: a comparison reads every replica. It is one of
// the runs that were seen before it.
func TestReplicasAreComparedWhileAGuideNeedsIt(t *testing.T) {
	t.Parallel()
	v := cluster.View{Nodes: []cluster.Node{{Name: "n1", ID: "run-1", Online: true}}}
	s := &fakeSource{
		status:  func() (admin.Status, error) { return admin.Status{View: v}, nil },
		history: func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil },
	}
	f := feed.New(feed.Config{Client: s})
	if f.PollOnce(context.Background()); s.comparisons != 0 {
		t.Fatal("the replicas were compared for nobody")
	}
	f.Subscribe(feed.Subscription{Replicas: true})
	p := f.PollOnce(context.Background()).Replicas.Value
	if s.comparisons != 1 || p.Runs != guide.RunsOf(v) || !p.Holds(v, p.At) {
		t.Errorf("%d comparisons, %+v", s.comparisons, p)
	}
	v.Nodes[0].ID = "run-2"
	if p.Holds(v, p.At) {
		t.Error("the comparison holds for another run")
	}
}

// TestTrustedCAsAreReadWhileAGuideNeedsThem: the file may be on a disk that hangs.
func TestTrustedCAsAreReadWhileAGuideNeedsThem(t *testing.T) {
	t.Parallel()
	s := &fakeSource{
		status:  func() (admin.Status, error) { return admin.Status{}, nil },
		history: func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil },
	}
	f := feed.New(feed.Config{Client: s})
	if f.PollOnce(context.Background()); s.trustedReads != 0 {
		t.Fatal("the file was read for nobody")
	}
	f.Subscribe(feed.Subscription{Trusted: true})
	if got := f.PollOnce(context.Background()).Trusted.Value; got == nil || got.File != "ca.crt" {
		t.Errorf("%+v", got)
	}
}

// TestUserKeyIsReadWhileAGuideNeedsIt: an error is a part of what the guide says.
func TestUserKeyIsReadWhileAGuideNeedsIt(t *testing.T) {
	t.Parallel()
	s := &fakeSource{
		status:  func() (admin.Status, error) { return admin.Status{}, nil },
		history: func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil },
	}
	f := feed.New(feed.Config{Client: s})
	if f.PollOnce(context.Background()); s.keyReads != 0 {
		t.Fatal("a user was read for nobody")
	}
	f.Subscribe(feed.Subscription{UserKey: "UBOB"})
	if got := f.PollOnce(context.Background()).UserKey; got.Err != nil || got.Value.Missing != "there is no user UBOB" || got.Value.User.ID != "UBOB" {
		t.Errorf("%+v", got.Value)
	}
}

// TestSessionsOfTheOpenUser are polled while a page shows a user, and never shown for another one.
func TestSessionsOfTheOpenUser(t *testing.T) {
	t.Parallel()
	s := &fakeSource{
		status:  func() (admin.Status, error) { return admin.Status{}, nil },
		history: func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil },
	}
	f := feed.New(feed.Config{Client: s})
	f.PollOnce(t.Context())
	f.Subscribe(feed.Subscription{Sessions: "UA"})
	if snap := f.PollOnce(t.Context()); snap.SessionsOf != "UA" || snap.Sessions.Value.Sessions[0].User != "UA" {
		t.Errorf("%+v of %s", snap.Sessions, snap.SessionsOf)
	}
	f.Subscribe(feed.Subscription{Sessions: "UB"})
	if snap := f.PollOnce(t.Context()); snap.SessionsOf != "UB" || snap.Sessions.Value.Sessions[0].User != "UB" {
		t.Errorf("%+v of %s", snap.Sessions, snap.SessionsOf)
	}
	f.Subscribe(feed.Subscription{})
	if f.PollOnce(t.Context()); !slices.Equal(s.sessionReads, []core.UserID{"UA", "UB"}) {
		t.Errorf("%q were asked for", s.sessionReads)
	}
}

// TestTopicsArePolledTogether: whatever a poll took, the next one of every topic is at the same moment,
// shortly before a second turns.
func TestTopicsArePolledTogether(t *testing.T) {
	t.Parallel()
	f := feed.New(feed.Config{Client: &fakeSource{}})
	began := time.Date(2026, 11, 22, 12, 4, 31, 0, time.UTC)
	var moment time.Duration
	for i := range 40 {
		now := began.Add(time.Duration(i) * 73 * time.Millisecond)
		for _, interval := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
			wait := f.UntilNext(interval, now)
			at := now.Add(wait).Sub(now.Add(wait).Truncate(time.Second))
			if moment == 0 {
				moment = at
			}
			if wait <= 0 || wait > interval || at != moment || at < 800*time.Millisecond || at > 900*time.Millisecond {
				t.Errorf("after %s the next poll is in %s, at %s of the second; want %s", interval, wait, at, moment)
			}
		}
	}
	if wait := f.UntilNext(250*time.Millisecond, began); wait != 250*time.Millisecond {
		t.Errorf("a running migration is polled after %s", wait)
	}
}
