package tuitest

import (
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// history alternates states with the time since each was entered.
func history(states ...any) []migrate.StateTransition {
	var out []migrate.StateTransition
	for i := 0; i+1 < len(states); i += 2 {
		out = append(out, migrate.StateTransition{State: states[i].(migrate.State), At: ago(states[i+1].(time.Duration))})
	}
	return out
}

// inState puts the migration into the last state of a history.
func inState(state ClusterState, comparedAgo time.Duration, states ...any) ClusterState {
	m := &state.Migration
	m.History = history(states...)
	last := m.History[len(m.History)-1]
	m.State, m.Since, m.Started = last.State, last.At, m.History[0].At
	m.ComparedAt = 0
	if comparedAgo > 0 {
		m.ComparedAt = ago(comparedAgo)
	}
	state.Status.Moving = ""
	if m.Active() || m.State == migrate.StateCutover {
		state.Status.Moving = string(m.State)
	}
	return state
}

// CopyPaused is Copying during a pause, with a rate limit.
func CopyPaused() ClusterState {
	state := Copying()
	state.Migration.Running, state.Migration.Paused, state.Migration.Rate, state.Migration.LeftMS = false, true, 0, 0
	state.Migration.Options.Rate = 500
	state.Migration.Result = "Paused by ana; SQLite on n1 serves as before."
	return state
}

// Fencing is Verified while the last changes are copied.
func Fencing() ClusterState {
	state := inState(Verified(), 4*time.Minute, migrate.StatePreflight, 5*time.Minute, migrate.StateBackup, 299*time.Second, migrate.StateCopy, 298*time.Second,
		migrate.StateVerify, 242*time.Second, migrate.StateFence, 600*time.Millisecond)
	state.Migration.Running, state.Migration.Result = true, ""
	state.Migration.Buckets[0].Changed, state.Migration.Buckets[2].Changed = 3, 12
	return state
}

// CuttingOver is Fencing while the authority moves.
func CuttingOver() ClusterState {
	state := Fencing()
	return inState(state, 4*time.Minute, migrate.StatePreflight, 5*time.Minute, migrate.StateBackup, 299*time.Second, migrate.StateCopy, 298*time.Second,
		migrate.StateVerify, 242*time.Second, migrate.StateFence, 1100*time.Millisecond, migrate.StateCutover, 300*time.Millisecond)
}

// RollingBack is AfterCutover while KV is exported.
func RollingBack() ClusterState {
	state := inState(AfterCutover(), 31*time.Minute, migrate.StatePreflight, 32*time.Minute, migrate.StateBackup, 1919*time.Second, migrate.StateCopy, 1918*time.Second,
		migrate.StateVerify, 1862*time.Second, migrate.StateFence, 1800*time.Second, migrate.StateCutover, 1799*time.Second,
		migrate.StateSoak, 1798*time.Second, migrate.StateRollback, 2*time.Second)
	m := &state.Migration
	m.Running, m.Result, m.Rate = true, "", 21300
	m.Progress = []migrate.Progress{
		{Table: core.TableUsers, Done: 201, Total: 200},
		{Table: core.TableRooms, Done: 50, Total: 50},
		{Table: core.TableMembers, Done: 700, Total: 1004},
		{Table: core.TableRoomKeys, Total: 3012},
	}
	return state
}

// RolledBack is RollingBack once SQLite serves again.
func RolledBack() ClusterState {
	state := OnSQLite()
	state.Migration = RollingBack().Migration
	state = inState(state, 31*time.Minute, migrate.StatePreflight, 32*time.Minute, migrate.StateBackup, 1919*time.Second, migrate.StateCopy, 1918*time.Second,
		migrate.StateVerify, 1862*time.Second, migrate.StateFence, 1800*time.Second, migrate.StateCutover, 1799*time.Second,
		migrate.StateSoak, 1798*time.Second, migrate.StateRollback, 9*time.Second, migrate.StateRolledBack, 3*time.Second)
	m := &state.Migration
	m.Running, m.Rate = false, 0
	m.Export = migrate.Backup{Path: "/var/lib/unibus/unibus-rollback-20261122-120422.db", SHA256: hash("export"), Bytes: 14.3e6}
	m.Result = "Rolled back: the control plane has been /var/lib/unibus/unibus-rollback-20261122-120422.db on n1 since generation 3, with everything that was written since the cutover. /var/lib/unibus/unibus.db stays fenced."
	for i := range m.Buckets {
		m.Buckets[i].Nodes = map[string]core.Digest{"n1": m.Buckets[i].Source}
		if i == 4 { // the index is derived and not in the file
			m.Buckets[i].Nodes = nil
		}
	}
	return state
}

// Aborted is Copying after an abort.
func Aborted() ClusterState {
	state := inState(Copying(), 0, migrate.StatePreflight, 9*time.Second, migrate.StateBackup, 8*time.Second, migrate.StateCopy, 7*time.Second, migrate.StateAborted, 3*time.Second)
	m := &state.Migration
	m.Running, m.Rate, m.LeftMS = false, 0, 0
	m.Result = "Aborted by ana in copy. SQLite on n1 serves as before; the authority record is none, and 862 keys were removed from KV. The backup /var/lib/unibus/unibus-20261122-120428.db was kept."
	return state
}

// Interrupted is Copying after n1 was stopped.
func Interrupted() ClusterState {
	state := Copying()
	state.Migration.Running, state.Migration.Rate, state.Migration.LeftMS = false, 0, 0
	state.Migration.Error = core.Errorf(core.KindUnavailable, "n1 was stopped in copy; its SQLite file serves as before").
		WithNext("continue with `unibusd migration resume`; to restore the state before the migration: `unibusd migration abort`")
	return state
}

// MigrationNodeDown is Copying while n1, which runs the migration, is down.
func MigrationNodeDown() ClusterState {
	state := Copying()
	takeDown(&state, 0, 12*time.Second)
	state.Status.From, state.Status.Verdict = "n2", cluster.Critical
	return state
}

// PreflightFailed is OnSQLite after a start that preflight refused.
func PreflightFailed() ClusterState {
	state := inState(Copying(), 0, migrate.StatePreflight, 4*time.Second)
	m := &state.Migration
	m.Running, m.Rate, m.LeftMS, m.Progress, m.Buckets, m.Backup = false, 0, 0, nil, nil, migrate.Backup{}
	m.Problems = []core.Problem{
		{Text: "n3 runs version 0.1.0, n1 runs 0.2.0", Next: "bring every node to the same version first"},
		{Table: core.TableUsers, Key: "UBX4QH7W2KKJ", Text: "it differs from ubx4qh7w2kkj only in case", Next: "with the node stopped, decide which of the two counts and delete the other: DELETE FROM users WHERE id = 'UBX4QH7W2KKJ'; -- 1 row"},
		{Table: core.TableMembers, Key: "room-07.UA5W", Text: "its user UA5W is not there", Next: "with the node stopped, add the user, or delete the row: DELETE FROM members WHERE room_id = 'room-07' AND user_id = 'UA5W'; -- 1 row"},
	}
	m.Error = core.Errorf(core.KindRefused, "the migration did not start, because of 3 problems; the first: n3 runs version 0.1.0, n1 runs 0.2.0").
		WithNext("repair what is listed, then start again; nothing was written")
	return state
}

// Leftovers is PreflightFailed because the file holds more than unibus keeps.
func Leftovers() ClusterState {
	state := PreflightFailed()
	m := &state.Migration
	m.Leftovers = []core.Leftover{{Table: "users", Column: "note", Rows: 31}, {Table: "rooms", Column: "topic"}}
	m.Problems = []core.Problem{{
		Table: core.TableUsers, Text: "the column users.note of /var/lib/unibus/unibus.db is not a part of a control plane, and 31 rows hold something in it; a migration leaves it behind",
		Next: "keep what you need of it elsewhere; then start again with --ignore users.note",
	}}
	m.Notes = []core.Problem{{Table: core.TableRooms, Text: "the column rooms.topic of /var/lib/unibus/unibus.db is empty; it is left behind"}}
	m.Error = core.Errorf(core.KindRefused, "the migration did not start, because of 1 problem; the first: %s", m.Problems[0].TextWithRow()).
		WithNext("repair what is listed, then start again; nothing was written")
	return state
}

// FilesDiffer is PreflightFailed because n2 has a SQLite file with other rows.
func FilesDiffer() ClusterState {
	state := PreflightFailed()
	m := &state.Migration
	m.Divergences = []migrate.Divergence{{Node: "n2", File: "/var/lib/unibus/unibus.db", Tables: []migrate.TableDivergence{
		{Table: core.TableUsers, OnlyHere: 14, OnlyThere: 3, Different: 1, Keys: []string{"there/UBX4QH7W", "there/UDOMA22A", "there/UCKZ77QQ", "different/UA5WQ2PL"}},
		{Table: core.TableRooms, OnlyHere: 2},
		{Table: core.TableMembers},
		{Table: core.TableRoomKeys},
	}}}
	m.Problems = []core.Problem{{
		Text: "n2 has a SQLite file of its own, /var/lib/unibus/unibus.db, which differs from the source: users 3 only there and 1 different; a migration would leave these rows behind",
		Next: "choose which file to keep. To migrate that one instead: `unibusd migrate-to-kv --node n2 --db /var/lib/unibus/unibus.db`. " +
			"To leave its rows behind, start again with --ignore-node n2. Or change the files until the source has all of its rows",
	}}
	m.Error = core.Errorf(core.KindRefused, "the migration did not start, because of 1 problem; the first: %s", m.Problems[0].TextWithRow()).
		WithNext("repair what is listed, then start again; nothing was written")
	return state
}

// DryRun is OnSQLite after a dry run that found no problems.
func DryRun() ClusterState {
	state := OnSQLite()
	state.Migration = migrate.Status{
		State: migrate.StateNone, By: "ana", Updated: ago(12 * time.Second), Options: migrate.Options{DB: "/var/lib/unibus/unibus.db", DryRun: true},
		Source: migrate.SourceFile{Path: "/var/lib/unibus/unibus.db", Bytes: 14.2e6, Schema: 1}, Node: "n1", EstimateMS: 2400,
		Result: "Dry run: 5270 keys of /var/lib/unibus/unibus.db can be migrated; nothing was written.",
	}
	return state
}

// CopyingAsViewer is Copying as a viewer sees it.
func CopyingAsViewer() ClusterState {
	state := Copying()
	state.Status.Operator = core.Operator{Name: "vic", Role: core.OperatorViewer}
	return state
}

// Copying is OnSQLite while members are copied.
func Copying() ClusterState {
	state := OnSQLite()
	state.Status.Moving = string(migrate.StateCopy)
	state.Migration = migrate.Status{
		ID: "m1", State: migrate.StateCopy, Node: "n1", By: "ana", Options: migrate.Options{DB: "/var/lib/unibus/unibus.db", Replicas: 3},
		Started: ago(7 * time.Second), Updated: ago(0), Since: ago(3 * time.Second), Running: true, Rate: 24100, LeftMS: 1200,
		Source: migrate.SourceFile{Path: "/var/lib/unibus/unibus.db", Bytes: 14.2e6, Schema: 1},
		Backup: migrate.Backup{Path: "/var/lib/unibus/unibus-20261122-120428.db", SHA256: hash("backup"), Bytes: 14.1e6},
		Progress: []migrate.Progress{
			{Table: core.TableUsers, Done: 200, Total: 200},
			{Table: core.TableRooms, Done: 50, Total: 50},
			{Table: core.TableMembers, Done: 612, Total: 1004},
			{Table: core.TableRoomKeys, Total: 3012},
			{Table: core.TableRoomsByMember},
		},
		EstimateMS: 8200,
		History:    history(migrate.StatePreflight, 7*time.Second, migrate.StateBackup, 5600*time.Millisecond, migrate.StateCopy, 3*time.Second),
	}
	for _, t := range core.Tables() {
		state.Migration.Buckets = append(state.Migration.Buckets, migrate.Parity{Name: t.Bucket(), Nodes: map[string]core.Digest{}})
	}
	return state
}

// Verified is Copying once every bucket is equal on every node.
func Verified() ClusterState {
	state := Copying()
	m := &state.Migration
	state.Status.Moving = string(migrate.StateVerify)
	m.State, m.Verified, m.Rate, m.LeftMS, m.Written = migrate.StateVerify, true, 0, 0, 5270
	m.Running, m.Buckets = false, nil
	m.History = append(m.History, migrate.StateTransition{State: migrate.StateVerify, At: ago(1400 * time.Millisecond)})
	m.ComparedAt = ago(900 * time.Millisecond)
	m.Result = "Every bucket equals the source on every node; 5270 keys written. SQLite on n1 still serves: cut over when ready."
	for i := range m.Progress {
		m.Progress[i].Total = []int{200, 50, 1004, 3012, 1004}[i]
		m.Progress[i].Done = m.Progress[i].Total
	}
	for i, t := range core.Tables() {
		d := core.Digest{Count: m.Progress[i].Total, SHA256: hash(string(t))}
		p := migrate.Parity{Name: "UNIBUS_" + string(t), Source: d, Nodes: map[string]core.Digest{}}
		for _, n := range []string{"n1", "n2", "n3"} {
			p.Nodes[n] = d
		}
		m.Buckets = append(m.Buckets, p)
	}
	return state
}

// ReplicaDiffers is Verified, but the replica of one node lacks a key.
func ReplicaDiffers() ClusterState {
	state := Verified()
	state.Migration.Verified, state.Migration.Result, state.Migration.ComparedAt = false, "", 0
	b := &state.Migration.Buckets[2]
	b.Nodes["n3"] = core.Digest{Count: 1003, SHA256: hash("other")}
	b.Missing = []string{"n3/room-07.UBX4"}
	state.Migration.Error = core.Errorf(core.KindFailed, "not every replica equals the source: UNIBUS_members (1 missing, 0 different, 0 extra)").
		WithNext("look at the keys that are listed with their node, then start again, which writes what is missing. If only one node differs, restart it first, so that it copies from its peers")
	return state
}

// AfterCutover is Healthy after a migration that can still be rolled back.
func AfterCutover() ClusterState {
	state := Healthy()
	m := Verified().Migration
	m.Running = false
	m.Result = "The control plane has been on KV since generation 2, with 5270 keys. The SQLite file on n1 is fenced and kept. Finish when all is well; until then `unibusd migration rollback` writes everything back to SQLite."
	state.Migration = m
	state.Migration.Buckets[0].Changed = 3
	return inState(state, 4*time.Minute, migrate.StatePreflight, 5*time.Minute, migrate.StateBackup, 299*time.Second, migrate.StateCopy, 298*time.Second,
		migrate.StateVerify, 242*time.Second, migrate.StateFence, 120*time.Second, migrate.StateCutover, 119*time.Second, migrate.StateSoak, 118*time.Second)
}
