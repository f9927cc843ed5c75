package tuitest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/doctor"
	"unibus/core/migrate"
)

// ClusterState is everything that a fake cluster answers.
type ClusterState struct {
	Status      admin.Status
	Migration   migrate.Status
	Users       []core.User
	Rooms       []admin.RoomSummary
	Members     map[core.RoomID][]admin.RoomMember
	Keys        map[core.RoomID]admin.RoomKeys
	Events      []cluster.Event
	Incidents   []cluster.Incident
	HistoryNote string // why the history may lack something
	Rollout     admin.Rollout
	Attempts    []admin.Attempt     // to connect; also makes every request fail
	Audit       []admin.AuditRecord // newest first
	Replicas    []doctor.Check      // nil: they are equal
	UserKeys    map[string]core.UserKey
	Runs        map[string]string // of nodes by their own word, where it is another than Status has; "": it does not answer
	Trusted     *core.CABundle    // nil: the CAs of the system
	Sessions    []admin.Session   // of all users
	Silent      []string          // nodes that do not say their sessions
	LastSeen    *core.LastSeen    // nil: the nodes record nothing
}

// FakeClient is a client without a cluster. It is safe for concurrent use.
type FakeClient struct {
	mu      sync.Mutex
	state   ClusterState
	hanging bool
	err     error
	calls   []string

	userRequests []core.UserPageRequest
	roomRequests []core.RoomPageRequest
	roomIndex    *roomIndex
	userIndex    *core.UserIndex // of indexed
	indexed      []core.User

	statusPolls int                     // of the status
	waiters     map[int][]chan struct{} // by the number of polls that they wait for
}

// NewFakeClient answers with a state.
func NewFakeClient(state ClusterState) *FakeClient { return &FakeClient{state: state} }

// Set replaces the state.
func (f *FakeClient) Set(state ClusterState) { f.locked(func() { f.state = state }) }

// Change edits the state in place.
func (f *FakeClient) Change(edit func(state *ClusterState)) { f.locked(func() { edit(&f.state) }) }

// Hang makes every request block until its context ends.
func (f *FakeClient) Hang(on bool) { f.locked(func() { f.hanging = on }) }

// Fail makes every request fail; nil ends that.
func (f *FakeClient) Fail(err error) { f.locked(func() { f.err = err }) }

// Calls are the requested changes, in order.
func (f *FakeClient) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

func (f *FakeClient) locked(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func read[T any](ctx context.Context, f *FakeClient, pick func(state ClusterState) T) (T, error) {
	f.mu.Lock()
	hang, fail, state := f.hanging, f.err, f.state
	f.mu.Unlock()
	var zero T
	if hang {
		<-ctx.Done()
		return zero, ctx.Err()
	}
	if fail == nil && len(state.Attempts) > 0 {
		fail = core.Errorf(core.KindUnavailable, "not connected yet")
	}
	if fail != nil {
		return zero, fail
	}
	return pick(state), nil
}

func change[T any](ctx context.Context, f *FakeClient, call string, do func(state *ClusterState) (T, error)) (T, error) {
	if _, err := read(ctx, f, func(ClusterState) int { return 0 }); err != nil {
		var zero T
		return zero, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	return do(&f.state)
}

// Status returns the state's.
func (f *FakeClient) Status(ctx context.Context) (admin.Status, error) {
	f.locked(f.countPoll)
	return read(ctx, f, func(state ClusterState) admin.Status { return state.Status })
}

// StatusOf is the state's with the run that Runs has for the node, if any.
func (f *FakeClient) StatusOf(ctx context.Context, node string) (admin.Status, error) {
	return read(ctx, f, func(state ClusterState) admin.Status {
		run, told := state.Runs[node]
		if !told {
			return state.Status
		}
		st := state.Status
		st.Nodes = slices.Clone(st.Nodes)
		for i := range st.Nodes {
			if st.Nodes[i].Name == node {
				st.Nodes[i].ID, st.Nodes[i].Online = run, run != ""
			}
		}
		return st
	})
}

func (f *FakeClient) countPoll() {
	f.statusPolls++
	for _, c := range f.waiters[f.statusPolls] {
		close(c)
	}
	delete(f.waiters, f.statusPolls)
}

// AfterPolls returns a channel that closes after n more polls of the status.
func (f *FakeClient) AfterPolls(n int) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiters == nil {
		f.waiters = map[int][]chan struct{}{}
	}
	c := make(chan struct{})
	f.waiters[f.statusPolls+n] = append(f.waiters[f.statusPolls+n], c)
	return c
}

// StatusPolls counts the polls of the status.
func (f *FakeClient) StatusPolls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.statusPolls
}

// History returns what is new after a place, or the newest entries.
func (f *FakeClient) History(ctx context.Context, r admin.HistoryRequest) (admin.History, error) {
	return read(ctx, f, func(state ClusterState) admin.History {
		out := admin.History{Node: state.Status.From, Note: state.HistoryNote}
		for n, e := range state.Events {
			if out.Last = uint64(n) + 1; out.Last > r.After {
				out.Entries = append(out.Entries, admin.HistoryEntry{Place: out.Last, Updated: out.Last, At: e.At, Event: &e})
			}
		}
		for _, i := range state.Incidents { // each time: it may have changed
			out.Entries = append(out.Entries, admin.HistoryEntry{At: i.Begin, Incident: &i})
		}
		return out
	})
}

// Migration returns the state's.
func (f *FakeClient) Migration(ctx context.Context) (migrate.Status, error) {
	return read(ctx, f, func(state ClusterState) migrate.Status { return state.Migration })
}

// UserPage returns a page of the state's users, as a node does.
func (f *FakeClient) UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error) {
	f.locked(func() { f.userRequests = append(f.userRequests, r) })
	ix, err := read(ctx, f, f.indexOf)
	if err != nil {
		return core.UserPage{}, err
	}
	f.locked(func() { r.LastSeen = f.state.LastSeen })
	return ix.Page(r, core.MillisOf(Now))
}

// UserRequests are the requests for users, in order.
func (f *FakeClient) UserRequests() []core.UserPageRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]core.UserPageRequest(nil), f.userRequests...)
}

// indexOf keeps the index while the users are the same: a change replaces the whole slice.
func (f *FakeClient) indexOf(state ClusterState) *core.UserIndex {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.userIndex == nil || !isSameSlice(f.indexed, state.Users) {
		all := make([]*core.User, len(state.Users))
		for i := range state.Users {
			all[i] = &state.Users[i]
		}
		f.userIndex, f.indexed = core.NewUserIndex(all), state.Users
	}
	return f.userIndex
}

// RoomPage returns a page of the state's rooms, as a node does.
func (f *FakeClient) RoomPage(ctx context.Context, r core.RoomPageRequest) (admin.RoomPage, error) {
	f.locked(func() { f.roomRequests = append(f.roomRequests, r) })
	ix, err := read(ctx, f, f.roomIndexOf)
	if err != nil {
		return admin.RoomPage{}, err
	}
	p, err := ix.Page(r, ix.notes)
	out := admin.RoomPage{Offset: p.Offset, Total: p.Total, Counts: ix.counts, Next: p.Next, Rooms: []admin.RoomSummary{}}
	out.Counts.RoomCounts = p.Counts
	for _, room := range p.Rooms {
		out.Rooms = append(out.Rooms, ix.rooms[room.ID])
	}
	return out, err
}

// RoomRequests are the requests for rooms, in order.
func (f *FakeClient) RoomRequests() []core.RoomPageRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]core.RoomPageRequest(nil), f.roomRequests...)
}

// Rollout returns the state's.
func (f *FakeClient) Rollout(ctx context.Context) (admin.Rollout, error) {
	return read(ctx, f, func(state ClusterState) admin.Rollout { return state.Rollout })
}

// Audit returns one page of the state's records.
func (f *FakeClient) Audit(ctx context.Context, r admin.AuditRequest) (admin.Audit, error) {
	return read(ctx, f, func(state ClusterState) admin.Audit {
		out := admin.Audit{Node: state.Status.From, Records: []admin.AuditRecord{}}
		for _, x := range state.Audit {
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

// Doctor returns the state's comparison of the replicas.
func (f *FakeClient) Doctor(ctx context.Context, _ admin.DoctorRequest) (doctor.Report, error) {
	return read(ctx, f, func(state ClusterState) doctor.Report {
		if state.Replicas != nil {
			return doctor.Report{Checks: state.Replicas}
		}
		return doctor.Report{Checks: []doctor.Check{{Name: "replicas.UNIBUS_users", State: doctor.OK, Text: "equal"}}}
	})
}

// UserKey is the state's, KindNotFound without one.
func (f *FakeClient) UserKey(ctx context.Context, id string) (core.UserKey, error) {
	k, err := read(ctx, f, func(state ClusterState) core.UserKey { return state.UserKeys[id] })
	if err == nil && k.User.ID == "" {
		err = core.Errorf(core.KindNotFound, "there is no user %s", id)
	}
	return k, err
}

// TrustedCAs are the state's.
func (f *FakeClient) TrustedCAs() *core.CABundle {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Trusted
}

// Connected returns the node that the status comes from.
func (f *FakeClient) Connected() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return ""
	}
	return f.state.Status.From
}

// Server returns a fixed URL.
func (f *FakeClient) Server() string {
	if len(f.Attempts()) > 0 {
		return ""
	}
	return "tls://127.0.0.1:4222"
}

// Attempts are the state's.
func (f *FakeClient) Attempts() []admin.Attempt {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.Attempts
}

// UserAdd adds a user.
func (f *FakeClient) UserAdd(ctx context.Context, u core.User) (core.User, error) {
	return change(ctx, f, fmt.Sprintf("user-add %s %s", u.ID, u.Role), func(state *ClusterState) (core.User, error) {
		for _, x := range state.Users {
			if x.ID == u.ID {
				return u, core.Errorf(core.KindExists, "%s is a user already", u.ID.Short()).WithNext("`unibusd user get NKEY` shows it")
			}
		}
		u.Status = core.UserActive
		state.Users = append(append([]core.User(nil), state.Users...), u)
		return u, nil
	})
}

// Revoke revokes a user. Two sessions end on the first node; nodes that are down
// do not answer; rooms whose key the user has need a new one.
func (f *FakeClient) Revoke(ctx context.Context, id string) (admin.Revoked, error) {
	u, err := f.setUserStatus(ctx, "user-revoke", id, core.UserRevoked)
	if err != nil {
		return admin.Revoked{}, err
	}
	out := admin.Revoked{User: u, Nodes: map[string]admin.Ended{}, Rekey: []core.RoomID{}}
	f.locked(func() {
		for i, n := range f.state.Status.Nodes {
			e := admin.Ended{At: u.Updated + 9 + core.Millis(i)}
			if !n.Online {
				e = admin.Ended{Unknown: true, Reason: "it did not answer in time"}
			} else if i == 0 {
				e.Ended = 2
			}
			out.Nodes[n.Name] = e
		}
		for _, r := range f.state.Rooms {
			if r.Encrypted && slices.ContainsFunc(f.state.Members[r.ID], func(m admin.RoomMember) bool { return m.User == u.ID && m.Boxed }) {
				out.Rekey = append(out.Rekey, r.ID)
			}
		}
	})
	return out, nil
}

// UserActivate activates a user.
func (f *FakeClient) UserActivate(ctx context.Context, id string) (core.User, error) {
	return f.setUserStatus(ctx, "user-activate", id, core.UserActive)
}

// UserExtend changes when a user's access expires.
func (f *FakeClient) UserExtend(ctx context.Context, id string, expires core.Millis) (core.User, error) {
	return f.changeUser(ctx, fmt.Sprintf("user-extend %s %d", id, expires), id, func(u *core.User) { u.Expires = expires })
}

// UserReplace revokes a user and adds the new key.
func (f *FakeClient) UserReplace(ctx context.Context, id, to string) (admin.Replaced, error) {
	old, err := f.setUserStatus(ctx, "user-replace "+to, id, core.UserRevoked)
	if err != nil {
		return admin.Replaced{}, err
	}
	fresh := old
	fresh.ID, fresh.Status = core.UserID(to), core.UserActive
	f.locked(func() { f.state.Users = append(f.state.Users, fresh) })
	return admin.Replaced{
		Revoked: admin.Revoked{User: old, Nodes: map[string]admin.Ended{"n1": {Ended: 1, At: old.Updated + 9}}, Rekey: []core.RoomID{}},
		New:     fresh, Moved: []core.RoomID{"room-01"}, Kept: []core.RoomID{"room-02"},
		Confirm: []admin.KeptRoom{{Room: "room-02", Owned: true, CanInvite: []admin.RoomPerson{{User: fresh.ID, Name: new("ada"), Role: core.MemberAdmin}}}},
	}, nil
}

func (f *FakeClient) setUserStatus(ctx context.Context, call, id string, s core.UserStatus) (core.User, error) {
	return f.changeUser(ctx, call+" "+id, id, func(u *core.User) { u.Status = s })
}

func (f *FakeClient) changeUser(ctx context.Context, call, id string, set func(*core.User)) (core.User, error) {
	return change(ctx, f, call, func(state *ClusterState) (core.User, error) {
		state.Users = append([]core.User(nil), state.Users...)
		for i := range state.Users {
			if string(state.Users[i].ID) == id {
				set(&state.Users[i])
				state.Users[i].Updated = core.MillisOf(Now)
				return state.Users[i], nil
			}
		}
		return core.User{}, core.Errorf(core.KindNotFound, "there is no user %s", core.UserID(id).Short())
	})
}

// BucketScale records the call.
func (f *FakeClient) BucketScale(ctx context.Context, n int) (admin.Done, error) {
	return change(ctx, f, fmt.Sprintf("bucket-scale %d", n), func(*ClusterState) (admin.Done, error) {
		return admin.Done{Text: fmt.Sprintf("every bucket has %d replicas", n)}, nil
	})
}

// NodeAdd records the call.
func (f *FakeClient) NodeAdd(ctx context.Context, name string) (admin.NodeChanged, error) {
	return change(ctx, f, "node-add "+name, func(state *ClusterState) (admin.NodeChanged, error) {
		return admin.NodeChanged{NodeChange: core.NodeChange{Name: name, State: core.NodeAdded, By: "ana"}, Meta: state.Status.Meta}, nil
	})
}

// NodeRemove records the call.
func (f *FakeClient) NodeRemove(ctx context.Context, name string) (admin.NodeChanged, error) {
	return change(ctx, f, "node-remove "+name, func(*ClusterState) (admin.NodeChanged, error) {
		return admin.NodeChanged{NodeChange: core.NodeChange{Name: name, State: core.NodeRemoved, By: "ana"}, Meta: cluster.Meta{Size: 2, Needed: 2}}, nil
	})
}

// NodeFence records the call.
func (f *FakeClient) NodeFence(ctx context.Context, name string) (admin.NodeChanged, error) {
	return change(ctx, f, "node-fence "+name, func(state *ClusterState) (admin.NodeChanged, error) {
		return admin.NodeChanged{NodeChange: core.NodeChange{Name: name, State: core.NodeRemoved, By: "ana"}, Told: []string{"n1"}, Meta: state.Status.Meta}, nil
	})
}

// NodeRescue records the call.
func (f *FakeClient) NodeRescue(ctx context.Context, quorum int) (admin.Rescued, error) {
	return change(ctx, f, fmt.Sprintf("node-rescue %d", quorum), func(*ClusterState) (admin.Rescued, error) {
		return admin.Rescued{Quorum: quorum, Survivors: []string{"n1"}, Removed: []string{"n2", "n3"}, Meta: cluster.Meta{Size: 1, Needed: 1}}, nil
	})
}

// NodeDrain records the call.
func (f *FakeClient) NodeDrain(ctx context.Context, name string, last time.Duration) (admin.NodeDrained, error) {
	return change(ctx, f, fmt.Sprintf("node-drain %s %s", name, last), func(*ClusterState) (admin.NodeDrained, error) {
		return admin.NodeDrained{Maintenance: core.Maintenance{Node: name, By: "ana"}}, nil
	})
}

// NodeResume records the call.
func (f *FakeClient) NodeResume(ctx context.Context, name string) (admin.NodeDrained, error) {
	return change(ctx, f, "node-resume "+name, func(*ClusterState) (admin.NodeDrained, error) {
		return admin.NodeDrained{Maintenance: core.Maintenance{Node: name, By: "ana", Ended: true}}, nil
	})
}

// BackupNow has n2 begin a backup.
func (f *FakeClient) BackupNow(ctx context.Context) (admin.BackupRequested, error) {
	return change(ctx, f, "backup now", func(state *ClusterState) (admin.BackupRequested, error) {
		at := core.MillisOf(Now)
		if rec := state.Status.Backups; rec != nil {
			next := *rec
			next.Lease = &core.BackupLease{Node: "n2", Since: at}
			state.Status.Backups = &next
		}
		return admin.BackupRequested{At: at}, nil
	})
}

// StepDown records the call.
func (f *FakeClient) StepDown(ctx context.Context, group, to string) (admin.Done, error) {
	return change(ctx, f, "step-down "+group+" "+to, func(*ClusterState) (admin.Done, error) {
		return admin.Done{Text: "n2 leads " + group}, nil
	})
}

// MigrateStart records the call.
func (f *FakeClient) MigrateStart(ctx context.Context, node string, o migrate.Options) (migrate.Status, error) {
	call := fmt.Sprintf("migrate-start %s %s %d", node, o.DB, o.Replicas)
	if o.Rate > 0 {
		call += fmt.Sprintf(" rate=%d", o.Rate)
	}
	if o.NoBackup {
		call += " no-backup"
	}
	if len(o.IgnoredNodes) > 0 {
		call += fmt.Sprintf(" discard=%s", o.IgnoredNodes)
	}
	if len(o.Ignored) > 0 {
		call += fmt.Sprintf(" ignore=%s", o.Ignored)
	}
	if o.DryRun {
		call += " dry-run"
	}
	return f.migrate(ctx, call)
}

// MigrateLimit records the call.
func (f *FakeClient) MigrateLimit(ctx context.Context, node string, rate int) (migrate.Status, error) {
	return f.migrate(ctx, fmt.Sprintf("migrate-limit %s %d", node, rate))
}

// MigrateRollback records the call.
func (f *FakeClient) MigrateRollback(ctx context.Context, node string) (migrate.Status, error) {
	return f.migrate(ctx, "migrate-rollback "+node)
}

// MigratePause records the call.
func (f *FakeClient) MigratePause(ctx context.Context, node string) (migrate.Status, error) {
	return f.migrate(ctx, "migrate-pause "+node)
}

// MigrateResume records the call.
func (f *FakeClient) MigrateResume(ctx context.Context, node string) (migrate.Status, error) {
	return f.migrate(ctx, "migrate-resume "+node)
}

// MigrateAbort records the call.
func (f *FakeClient) MigrateAbort(ctx context.Context, node string) (migrate.Status, error) {
	return f.migrate(ctx, "migrate-abort "+node)
}

// MigrateCutover records the call.
func (f *FakeClient) MigrateCutover(ctx context.Context, node string) (migrate.Status, error) {
	return f.migrate(ctx, "migrate-cutover "+node)
}

// MigrateFinish records the call.
func (f *FakeClient) MigrateFinish(ctx context.Context, node string) (migrate.Status, error) {
	return f.migrate(ctx, "migrate-finish "+node)
}

func (f *FakeClient) migrate(ctx context.Context, call string) (migrate.Status, error) {
	return change(ctx, f, call, func(state *ClusterState) (migrate.Status, error) { return state.Migration, nil })
}

// MemberPage returns one room and one page of its members.
func (f *FakeClient) MemberPage(ctx context.Context, r admin.RoomRequest) (admin.RoomDetail, error) {
	d, err := read(ctx, f, func(state ClusterState) admin.RoomDetail {
		for _, x := range state.Rooms {
			if string(x.ID) == r.ID {
				return state.roomPage(x.Room, r.After)
			}
		}
		return admin.RoomDetail{}
	})
	if err == nil && d.Room.ID == "" {
		err = core.Errorf(core.KindNotFound, "there is no room %q", r.ID)
	}
	return d, err
}

func (state ClusterState) roomPage(r core.Room, after string) admin.RoomDetail {
	all := state.Members[r.ID]
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
	if k, ok := state.Keys[r.ID]; ok && after == "" {
		d.Keys = &k
	}
	if r.Encrypted && after == "" && len(all) > 0 {
		d.Chain = sampleChain(r, len(all))
	}
	return d
}

// sampleChain is the chain of a room in which every member accepted an invitation.
func sampleChain(r core.Room, members int) *admin.ChainSummary {
	newest := admin.ChainEntry{Seq: uint64(2*members - 2), What: "acceptance", Role: core.MemberMember, Subject: r.Owner, Signer: r.Owner, At: r.Created}
	return &admin.ChainSummary{Node: "n1", Statements: newest.Seq + 1, Founder: r.Owner, Newest: newest}
}

// RoomRekey asks the named member, or else the first that could make a key.
func (f *FakeClient) RoomRekey(ctx context.Context, r admin.RekeyRequest) (admin.Asked, error) {
	return change(ctx, f, "room-rekey "+r.ID+" "+r.User, func(state *ClusterState) (admin.Asked, error) {
		k := state.Keys[core.RoomID(r.ID)]
		if k.CannotAsk != nil {
			return admin.Asked{}, k.CannotAsk
		}
		for _, x := range state.Rooms {
			if string(x.ID) == r.ID {
				p := k.CanRekey[0]
				return admin.Asked{Room: x.ID, Epoch: x.Epoch, User: p.User, Name: p.Name, Nodes: p.Nodes, At: core.MillisOf(Now)}, nil
			}
		}
		return admin.Asked{}, core.Errorf(core.KindNotFound, "there is no room %q", r.ID)
	})
}
