package migrate

import "strings"

// Action is a command for a migration.
type Action string

// The actions. Each is a command of `unibusd migration`, except start, which is
// `unibusd migrate-to-kv`, and check, which is the same with --dry-run.
const (
	ActionStart    Action = "start"
	ActionCheck    Action = "check"
	ActionPause    Action = "pause"
	ActionResume   Action = "resume"
	ActionLimit    Action = "limit"
	ActionAbort    Action = "abort"
	ActionCutover  Action = "cutover"
	ActionRollback Action = "rollback"
	ActionFinish   Action = "finish"
)

// Unavailable says why an action is not possible now, as the end of a sentence; ""
// if it is possible. The daemon decides by it and the console shows it, so that
// both agree. A status may be older than what the daemon knows.
func (s Status) Unavailable(a Action) string {
	switch a {
	case ActionStart:
		return s.startUnavailable()
	case ActionCheck:
		return s.checkUnavailable()
	case ActionPause:
		return s.pauseUnavailable()
	case ActionResume:
		return s.resumeUnavailable()
	case ActionLimit:
		return s.limitUnavailable()
	case ActionAbort:
		return s.abortUnavailable()
	case ActionCutover:
		return s.cutoverUnavailable()
	case ActionRollback:
		return s.rollbackUnavailable()
	case ActionFinish:
		return s.finishUnavailable()
	}
	return "there is no such action"
}

const (
	reasonNoMigration = "no migration is in progress"
	reasonAborting    = "it is being aborted; if that stopped, `unibusd migration abort` continues it"
	reasonDryRun      = "a dry run is running; ask again when it has ended"
)

// inKV is true after the authority has moved to KV, until it moves back.
func (s Status) inKV() bool {
	return s.State == StateSoak || s.State == StateDone || s.State == StateRollback
}

func (s Status) startUnavailable() string {
	switch {
	case s.inKV():
		return "the control plane is in KV already"
	case s.State == StateCutover:
		return "a cutover is not settled yet"
	case s.Running && s.Aborting != "":
		return "a migration is being aborted"
	case s.Running && s.Options.DryRun:
		return reasonDryRun
	case s.Running:
		return "a migration is running"
	case s.Paused && s.Active(): // Start would resume it with its own options
		return "it is paused: resume it, or abort it first"
	}
	return ""
}

// checkUnavailable is startUnavailable for a dry run, which is possible beside a
// paused migration.
func (s Status) checkUnavailable() string {
	s.Paused = false
	return s.startUnavailable()
}

func (s Status) pauseUnavailable() string {
	switch {
	case s.Aborting != "":
		return reasonAborting
	case s.Options.DryRun && s.Running:
		return reasonDryRun
	case !s.Running || !s.Active() || s.Paused:
		return "nothing is running"
	case s.State == StateFence:
		return "the fence lasts only seconds"
	}
	return ""
}

func (s Status) resumeUnavailable() string {
	switch {
	case s.Aborting != "":
		return reasonAborting
	case s.Running && !s.Paused:
		return "it is running"
	case s.State == StateVerify && s.Verified && !s.Paused:
		return "it is verified and waits for the cutover"
	case s.State == StateVerify && s.BackupOutdated:
		return "its backup lacks the changes that the fence wrote; start again with `" + startCommand(s.Node, s.Source.Path) + "`, which takes a new backup and writes only what differs"
	case !s.Active() && s.State != StateCutover && s.State != StateRollback:
		return reasonNoMigration
	}
	return ""
}

func (s Status) limitUnavailable() string {
	switch s.State {
	case StatePreflight, StateBackup, StateCopy:
		if !s.Options.DryRun && s.Aborting == "" {
			return ""
		}
	}
	return "no copy is under way"
}

func (s Status) abortUnavailable() string {
	switch {
	case s.State == StateCutover:
		return "the authority may have moved already; resume finds out which store is in force"
	case s.State == StateSoak, s.State == StateDone:
		return "the authority has moved, and the old file lacks what was changed since"
	case s.State == StateRollback:
		return ""
	case s.Options.DryRun && s.Running:
		return reasonDryRun
	case !s.Active():
		return reasonNoMigration
	}
	return ""
}

func (s Status) cutoverUnavailable() string {
	switch {
	case s.Aborting != "":
		return reasonAborting
	case s.Options.DryRun && s.Running:
		return reasonDryRun
	case s.State == StateFence && s.Running:
		return "it is running"
	case s.State == StateFence, s.State == StateCutover:
		return "the last cutover is not settled: resume first"
	case s.inKV():
		return "it is in KV already"
	case !s.Active():
		return reasonNoMigration
	case s.Running && s.State == StateVerify && s.Verified && len(s.UnreadyNodes) > 0:
		return "everything is equal, and " + strings.Join(s.UnreadyNodes, ", ") + " still load the rows into memory: wait a moment"
	case s.Running || s.State != StateVerify || !s.Verified:
		return "it is not verified yet"
	}
	return ""
}

func (s Status) rollbackUnavailable() string {
	switch s.State {
	case StateSoak:
		return ""
	case StateRollback:
		if s.Running {
			return "it is running"
		}
		return ""
	case StateDone:
		return "the migration is finished; `unibusd backup` writes a SQLite file of the control plane"
	case StateRolledBack:
		return "it was rolled back already"
	}
	if !s.Active() && s.State != StateCutover {
		return reasonNoMigration
	}
	return "it has not cut over"
}

func (s Status) finishUnavailable() string {
	switch s.State {
	case StateSoak:
		return ""
	case StateDone:
		return "it is finished"
	case StateRollback:
		return "it is being rolled back"
	}
	if !s.Active() && s.State != StateCutover {
		return reasonNoMigration
	}
	return "it has not cut over"
}
