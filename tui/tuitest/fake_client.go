package tuitest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// World is everything that a fake cluster answers.
type World struct {
	Status    admin.Status
	Migration migrate.Status
	Users     []core.User
	Rooms     []admin.RoomSummary
	Members   map[core.RoomID][]admin.RoomMember
	Keys      map[core.RoomID]admin.RoomKeys
	Events    []cluster.Event
	Rollout   admin.Rollout
	Audit     []admin.AuditRecord // newest first
}

// Fake is a client of a cluster that is not there. It is safe for concurrent use.
type Fake struct {
	mu    sync.Mutex
	world World
	hang  bool
	fail  error
	calls []string

	polls   int // of the status
	waiting map[int][]chan struct{}
}

// NewFake answers with a world.
func NewFake(w World) *Fake { return &Fake{world: w} }

// Set changes the world.
func (f *Fake) Set(w World) { f.edit(func() { f.world = w }) }

// Change edits the world in place.
func (f *Fake) Change(edit func(w *World)) { f.edit(func() { edit(&f.world) }) }

// Hang makes every call wait until its context ends.
func (f *Fake) Hang(on bool) { f.edit(func() { f.hang = on }) }

// Fail makes every call fail; nil ends that.
func (f *Fake) Fail(err error) { f.edit(func() { f.fail = err }) }

// Calls are the changes that were asked for, in order.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

func (f *Fake) edit(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func get[T any](ctx context.Context, f *Fake, pick func(w World) T) (T, error) {
	f.mu.Lock()
	hang, fail, w := f.hang, f.fail, f.world
	f.mu.Unlock()
	var none T
	if hang {
		<-ctx.Done()
		return none, ctx.Err()
	}
	if fail != nil {
		return none, fail
	}
	return pick(w), nil
}

func act[T any](ctx context.Context, f *Fake, call string, do func(w *World) (T, error)) (T, error) {
	if _, err := get(ctx, f, func(World) int { return 0 }); err != nil {
		var none T
		return none, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	return do(&f.world)
}

// Status answers with the world's.
func (f *Fake) Status(ctx context.Context) (admin.Status, error) {
	f.edit(f.polled)
	return get(ctx, f, func(w World) admin.Status { return w.Status })
}

func (f *Fake) polled() {
	f.polls++
	for _, c := range f.waiting[f.polls] {
		close(c)
	}
	delete(f.waiting, f.polls)
}

// AfterPolls is closed once the status has been asked for n more times.
func (f *Fake) AfterPolls(n int) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting == nil {
		f.waiting = map[int][]chan struct{}{}
	}
	c := make(chan struct{})
	f.waiting[f.polls+n] = append(f.waiting[f.polls+n], c)
	return c
}

// Events answers with those after Since.
func (f *Fake) Events(ctx context.Context, r admin.EventsRequest) (admin.Events, error) {
	return get(ctx, f, func(w World) admin.Events {
		out := admin.Events{Node: w.Status.From}
		for _, e := range w.Events {
			if e.Seq > r.Since {
				out.Events = append(out.Events, e)
			}
		}
		return out
	})
}

// Migration answers with the world's.
func (f *Fake) Migration(ctx context.Context) (migrate.Status, error) {
	return get(ctx, f, func(w World) migrate.Status { return w.Migration })
}

// Users answers with the world's.
func (f *Fake) Users(ctx context.Context) ([]core.User, error) {
	return get(ctx, f, func(w World) []core.User { return append([]core.User(nil), w.Users...) })
}

// Rooms answers with the world's.
func (f *Fake) Rooms(ctx context.Context) ([]admin.RoomSummary, error) {
	return get(ctx, f, func(w World) []admin.RoomSummary { return w.Rooms })
}

// Rollout answers with the world's.
func (f *Fake) Rollout(ctx context.Context) (admin.Rollout, error) {
	return get(ctx, f, func(w World) admin.Rollout { return w.Rollout })
}

// Audit answers with a page of the world's.
func (f *Fake) Audit(ctx context.Context, r admin.AuditRequest) (admin.Audit, error) {
	return get(ctx, f, func(w World) admin.Audit {
		out := admin.Audit{Node: w.Status.From, Records: []admin.AuditRecord{}}
		for _, x := range w.Audit {
			switch {
			case x.Seq <= r.Since || r.Before > 0 && x.Seq >= r.Before:
			case len(out.Records) == r.Limit:
				out.Next = out.Records[len(out.Records)-1].Seq
				return out
			default:
				out.Records = append(out.Records, x)
			}
		}
		return out
	})
}

// Connected is the node that the world was seen from.
func (f *Fake) Connected() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return ""
	}
	return f.world.Status.From
}

// Server is a made-up URL.
func (f *Fake) Server() string { return "tls://127.0.0.1:4222" }

// UserAdd adds to the world.
func (f *Fake) UserAdd(ctx context.Context, u core.User) (core.User, error) {
	return act(ctx, f, fmt.Sprintf("user-add %s %s", u.ID, u.Role), func(w *World) (core.User, error) {
		for _, x := range w.Users {
			if x.ID == u.ID {
				return u, core.Errorf(core.KindExists, "%s is a user already", u.ID.Short()).WithNext("`unibusd user get` shows it")
			}
		}
		u.Status = core.UserActive
		w.Users = append(append([]core.User(nil), w.Users...), u)
		return u, nil
	})
}

// Revoke revokes in the world. Two sessions end on the first node; nodes that
// are away say nothing; rooms whose key the user has need a new one.
func (f *Fake) Revoke(ctx context.Context, id string) (admin.Revoked, error) {
	u, err := f.status(ctx, "user-revoke", id, core.UserRevoked)
	if err != nil {
		return admin.Revoked{}, err
	}
	out := admin.Revoked{User: u, Nodes: map[string]admin.Ended{}, Rekey: []core.RoomID{}}
	f.edit(func() {
		for i, n := range f.world.Status.Nodes {
			e := admin.Ended{At: u.Updated + 9 + core.Millis(i)}
			if !n.Online {
				e = admin.Ended{Unknown: true, Reason: "it did not answer in time"}
			} else if i == 0 {
				e.Ended = 2
			}
			out.Nodes[n.Name] = e
		}
		for _, r := range f.world.Rooms {
			if r.Encrypted && slices.ContainsFunc(f.world.Members[r.ID], func(m admin.RoomMember) bool { return m.User == u.ID && m.Boxed }) {
				out.Rekey = append(out.Rekey, r.ID)
			}
		}
	})
	return out, nil
}

// UserActivate activates in the world.
func (f *Fake) UserActivate(ctx context.Context, id string) (core.User, error) {
	return f.status(ctx, "user-activate", id, core.UserActive)
}

func (f *Fake) status(ctx context.Context, call, id string, s core.UserStatus) (core.User, error) {
	return act(ctx, f, call+" "+id, func(w *World) (core.User, error) {
		w.Users = append([]core.User(nil), w.Users...)
		for i := range w.Users {
			if string(w.Users[i].ID) == id {
				w.Users[i].Status, w.Users[i].Updated = s, core.MillisOf(Now)
				return w.Users[i], nil
			}
		}
		return core.User{}, core.Errorf(core.KindNotFound, "there is no user %s", core.UserID(id).Short())
	})
}

// BucketScale notes the call.
func (f *Fake) BucketScale(ctx context.Context, n int) (admin.Done, error) {
	return act(ctx, f, fmt.Sprintf("bucket-scale %d", n), func(*World) (admin.Done, error) {
		return admin.Done{Text: fmt.Sprintf("every bucket has %d replicas", n)}, nil
	})
}

// StepDown notes the call.
func (f *Fake) StepDown(ctx context.Context, group, to string) (admin.Done, error) {
	return act(ctx, f, "step-down "+group+" "+to, func(*World) (admin.Done, error) {
		return admin.Done{Text: "n2 leads " + group}, nil
	})
}

// MigrateStart notes the call.
func (f *Fake) MigrateStart(ctx context.Context, node string, o migrate.Options) (migrate.Status, error) {
	call := fmt.Sprintf("migrate-start %s %s %d", node, o.DB, o.Replicas)
	if o.Rate > 0 {
		call += fmt.Sprintf(" rate=%d", o.Rate)
	}
	if o.NoBackup {
		call += " no-backup"
	}
	if len(o.Discard) > 0 {
		call += fmt.Sprintf(" discard=%s", o.Discard)
	}
	if o.DryRun {
		call += " dry-run"
	}
	return f.move(ctx, call)
}

// MigrateLimit notes the call.
func (f *Fake) MigrateLimit(ctx context.Context, node string, rate int) (migrate.Status, error) {
	return f.move(ctx, fmt.Sprintf("migrate-limit %s %d", node, rate))
}

// MigrateRollback notes the call.
func (f *Fake) MigrateRollback(ctx context.Context, node string) (migrate.Status, error) {
	return f.move(ctx, "migrate-rollback "+node)
}

// MigratePause notes the call; the others do likewise.
func (f *Fake) MigratePause(ctx context.Context, node string) (migrate.Status, error) {
	return f.move(ctx, "migrate-pause "+node)
}

// MigrateResume notes the call.
func (f *Fake) MigrateResume(ctx context.Context, node string) (migrate.Status, error) {
	return f.move(ctx, "migrate-resume "+node)
}

// MigrateAbort notes the call.
func (f *Fake) MigrateAbort(ctx context.Context, node string) (migrate.Status, error) {
	return f.move(ctx, "migrate-abort "+node)
}

// MigrateCutover notes the call.
func (f *Fake) MigrateCutover(ctx context.Context, node string) (migrate.Status, error) {
	return f.move(ctx, "migrate-cutover "+node)
}

// MigrateFinish notes the call.
func (f *Fake) MigrateFinish(ctx context.Context, node string) (migrate.Status, error) {
	return f.move(ctx, "migrate-finish "+node)
}

func (f *Fake) move(ctx context.Context, call string) (migrate.Status, error) {
	return act(ctx, f, call, func(w *World) (migrate.Status, error) { return w.Migration, nil })
}

// RoomPage answers with one room of the world, a page of its members.
func (f *Fake) RoomPage(ctx context.Context, r admin.RoomRequest) (admin.RoomDetail, error) {
	d, err := get(ctx, f, func(w World) admin.RoomDetail {
		for _, x := range w.Rooms {
			if string(x.ID) == r.ID {
				return w.page(x.Room, r.After)
			}
		}
		return admin.RoomDetail{}
	})
	if err == nil && d.Room.ID == "" {
		err = core.Errorf(core.KindNotFound, "there is no room %q", r.ID)
	}
	return d, err
}

func (w World) page(r core.Room, after string) admin.RoomDetail {
	all := w.Members[r.ID]
	from := 0
	for i, m := range all {
		if string(m.User) == after {
			from = i + 1
		}
	}
	to := min(from+admin.PageSize, len(all))
	d := admin.RoomDetail{Room: r, Count: len(all), Members: append([]admin.RoomMember(nil), all[from:to]...)}
	if to < len(all) {
		d.Next = string(all[to-1].User)
	}
	if k, ok := w.Keys[r.ID]; ok && after == "" {
		d.Keys = &k
	}
	return d
}

// RoomRekey asks whom the node would, or the one who was named.
func (f *Fake) RoomRekey(ctx context.Context, r admin.RekeyRequest) (admin.Asked, error) {
	return act(ctx, f, "room-rekey "+r.ID+" "+r.User, func(w *World) (admin.Asked, error) {
		k := w.Keys[core.RoomID(r.ID)]
		if k.Why != nil {
			return admin.Asked{}, k.Why
		}
		for _, x := range w.Rooms {
			if string(x.ID) == r.ID {
				p := k.Can[0]
				return admin.Asked{Room: x.ID, Epoch: x.Epoch, User: p.User, Name: p.Name, Nodes: p.Nodes, At: core.MillisOf(Now)}, nil
			}
		}
		return admin.Asked{}, core.Errorf(core.KindNotFound, "there is no room %q", r.ID)
	})
}
