package sshd

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/doctor"
	"unibus/core/migrate"
	"unibus/tui/feed"
)

// How old an answer may be that another session has asked for. Each is less than the time after which a
// console asks again, so that no console shows the same answer twice.
const (
	liveAge      = 700 * time.Millisecond // status, events
	migrationAge = 150 * time.Millisecond
	listAge      = 2 * time.Second

	answerTimeout = 5 * time.Second
	doctorTimeout = 30 * time.Minute
)

// sharedClient asks the nodes once for what several sessions want to know. A request belongs to the server and
// not to the session that came first: it goes on when that one ends, and no session waits for another.
type sharedClient struct {
	feed.Client

	mu      sync.Mutex
	answers map[string]*answer
}

// answer is one request, under way or done.
type answer struct {
	done  chan struct{}
	age   time.Duration // until when after it came it holds
	at    time.Time     // when it came; zero: it is under way
	value any
	err   error
}

func newSharedClient(c feed.Client) *sharedClient {
	return &sharedClient{Client: c, answers: map[string]*answer{}}
}

// share returns the answer to a request, from one that another session has made if that is young enough.
func share[T any](ctx context.Context, s *sharedClient, name string, r any, age, timeout time.Duration, ask func(context.Context) (T, error)) (T, error) {
	var none T
	text, err := json.Marshal(r)
	if err != nil {
		return none, core.Errorf(core.KindInvalid, "the request %s cannot be compared: %w", name, err)
	}
	a := s.find(name+" "+string(text), age, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		return ask(ctx)
	})
	select {
	case <-a.done:
	case <-ctx.Done():
		return none, core.Errorf(core.KindUnavailable, "no answer to %s in time", name).WithNext("ask again")
	}
	if a.err != nil {
		return none, a.err
	}
	return a.value.(T), nil
}

func (s *sharedClient) find(key string, age time.Duration, ask func() (any, error)) *answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for k, a := range s.answers {
		if !a.at.IsZero() && now.Sub(a.at) >= a.age {
			delete(s.answers, k)
		}
	}
	if a := s.answers[key]; a != nil {
		return a
	}
	a := &answer{done: make(chan struct{}), age: age}
	s.answers[key] = a
	go func() {
		value, err := ask()
		s.mu.Lock()
		defer s.mu.Unlock()
		a.value, a.err, a.at = value, err, time.Now()
		close(a.done)
	}()
	return a
}

// Status returns the status of the cluster.
func (s *sharedClient) Status(ctx context.Context) (admin.Status, error) {
	return share(ctx, s, "status", nil, liveAge, answerTimeout, s.Client.Status)
}

// StatusOf returns the status as a node sees it.
func (s *sharedClient) StatusOf(ctx context.Context, node string) (admin.Status, error) {
	return share(ctx, s, "status-of", node, liveAge, answerTimeout, func(ctx context.Context) (admin.Status, error) { return s.Client.StatusOf(ctx, node) })
}

// History returns a page of events.
func (s *sharedClient) History(ctx context.Context, r admin.HistoryRequest) (admin.History, error) {
	return share(ctx, s, "events", r, liveAge, answerTimeout, func(ctx context.Context) (admin.History, error) { return s.Client.History(ctx, r) })
}

// Migration returns the state of the migration.
func (s *sharedClient) Migration(ctx context.Context) (migrate.Status, error) {
	return share(ctx, s, "migration", nil, migrationAge, answerTimeout, s.Client.Migration)
}

// UserPage returns a page of users.
func (s *sharedClient) UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error) {
	return share(ctx, s, "users", r, listAge, answerTimeout, func(ctx context.Context) (core.UserPage, error) { return s.Client.UserPage(ctx, r) })
}

// RoomPage returns a page of rooms.
func (s *sharedClient) RoomPage(ctx context.Context, r core.RoomPageRequest) (admin.RoomPage, error) {
	return share(ctx, s, "rooms", r, listAge, answerTimeout, func(ctx context.Context) (admin.RoomPage, error) { return s.Client.RoomPage(ctx, r) })
}

// MemberPage returns a page of a room's members.
func (s *sharedClient) MemberPage(ctx context.Context, r admin.RoomRequest) (admin.RoomDetail, error) {
	return share(ctx, s, "room", r, listAge, answerTimeout, func(ctx context.Context) (admin.RoomDetail, error) { return s.Client.MemberPage(ctx, r) })
}

// Rollout returns whom the nodes would deny.
func (s *sharedClient) Rollout(ctx context.Context) (admin.Rollout, error) {
	return share(ctx, s, "rollout", nil, listAge, answerTimeout, s.Client.Rollout)
}

// Audit returns a page of the audit.
func (s *sharedClient) Audit(ctx context.Context, r admin.AuditRequest) (admin.Audit, error) {
	return share(ctx, s, "audit", r, liveAge, answerTimeout, func(ctx context.Context) (admin.Audit, error) { return s.Client.Audit(ctx, r) })
}

// Doctor checks the control plane. One check runs for all sessions.
func (s *sharedClient) Doctor(ctx context.Context, r admin.DoctorRequest) (doctor.Report, error) {
	return share(ctx, s, "doctor", r, listAge, doctorTimeout, func(ctx context.Context) (doctor.Report, error) { return s.Client.Doctor(ctx, r) })
}

// UserKey returns the state of a user's key.
func (s *sharedClient) UserKey(ctx context.Context, id string) (core.UserKey, error) {
	return share(ctx, s, "user-key", id, listAge, answerTimeout, func(ctx context.Context) (core.UserKey, error) { return s.Client.UserKey(ctx, id) })
}

// SessionPage returns a page of users' sessions.
func (s *sharedClient) SessionPage(ctx context.Context, r admin.SessionPageRequest) (admin.SessionPage, error) {
	return share(ctx, s, "sessions", r, listAge, answerTimeout, func(ctx context.Context) (admin.SessionPage, error) { return s.Client.SessionPage(ctx, r) })
}
