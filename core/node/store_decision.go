package node

import (
	"cmp"

	"unibus/core"
	"unibus/core/migrate"
)

// decisionInputs is everything on which it depends which store this node serves.
type decisionInputs struct {
	node    string       // this node's name
	flag    core.Backend // --store
	record  *core.Authority
	journal migrate.Entry
	file    fileState
	kv      kvState

	// withdrawn is the reason that the migration gave when it last withdrew the store.
	withdrawn *core.Error
}

// fileState is what is known of this node's SQLite file.
type fileState struct {
	path      string // where it is, or should be
	exists    bool   // something is at path
	open      bool   // this node has a file open
	journaled bool   // the open file is the one that the journal names
	fenced    bool   // the open file refuses writes
	served    bool   // the open file is served at this moment
}

// kvState is what is known of this node's KV store.
type kvState struct {
	rowsReady bool            // it has read all rows into memory
	guardsFor *core.Authority // it serves, with the guards opened for this authority; nil: it does not serve
}

// decision is the store that this node serves, and the steps before it can serve more.
type decision struct {
	backend   core.Backend // BackendNone: nothing
	reason    *core.Error  // why nothing; nil otherwise
	missing   requirement
	authority core.Authority // for which the guards have to be opened
	other     string         // the node whose file is the control plane, if it is not this one
}

// requirement is what a decision for KV waits for.
type requirement int

const (
	nothingMissing requirement = iota
	rowsMissing                // the rows are not in memory
	guardsMissing              // the guards are not open for the authority
)

// decide says which store a node serves. It is the table of ARCHITECTURE.md:
//
//	the record of authority says   the node serves
//	nothing, or none               what --store says; with sqlite and no file: nothing
//	sqlite, this node              its file, unless it is fenced or the journal holds an intent
//	sqlite, another node           nothing, and it names that node
//	kv                             the buckets, whatever --store says
//	it cannot be read              its file, if the journal names this node and holds no intent
//
// The record is nil if it cannot be read. A record of an older generation than the
// journal's is ignored: the migration writes the journal when it has moved the authority.
func decide(in decisionInputs) decision {
	a, journaled := in.record, in.journal.Authority
	if a == nil {
		return in.decideByJournal()
	}
	if journaled != nil && a.Generation < journaled.Generation {
		a = journaled
	}
	switch {
	case a.Backend == core.BackendKV, a.Backend == core.BackendNone && in.flag == core.BackendKV:
		return in.decideKV(*a)
	case a.Backend == core.BackendSQLite && a.Node != in.node:
		d := nothing(core.Errorf(core.KindUnavailable, "%s is the control plane now, not %s", a.Node, in.node).
			WithNext("connect to %s until the control plane is in KV", a.Node))
		d.reason.Err = core.ErrElsewhere
		d.other = a.Node
		return d
	}
	return in.decideFile(a.Backend == core.BackendSQLite)
}

// decideByJournal is the rule for a node that cannot ask a quorum.
func (in decisionInputs) decideByJournal() decision {
	a := in.journal.Authority
	named := a != nil && a.Backend == core.BackendSQLite && a.Node == in.node
	if named && in.file.open {
		return in.decideFile(true)
	}
	waiting := core.Errorf(core.KindUnavailable, "%s waits for a majority of the nodes, to read which store is in force", in.node).
		WithNext("start the other nodes; `unibus-tui status` says which are missing")
	return nothing(cmp.Or(in.withdrawn, waiting))
}

// decideFile serves the file. named says that the record or the journal names this node.
func (in decisionInputs) decideFile(named bool) decision {
	intent := in.journal.Intent
	switch {
	case !in.file.open && named:
		return nothing(in.errFileMissing())
	case !in.file.open:
		d := nothing(core.Errorf(core.KindUnavailable, "%s has no control plane: %s does not exist", in.node, in.file.path).
			WithNext("connect to the node that has one. If no node has, make it on %s, then restart unibusd there: `unibusd restore --from BACKUP --db %s`, or with its first user `unibusd user add NKEY --db %s`",
				in.node, core.ShellQuote(in.file.path), core.ShellQuote(in.file.path)))
		d.reason.Err = core.ErrElsewhere
		return d
	case intent != nil: // the authority may be given away already
		return nothing(in.errMigrating())
	case in.journal.FileNeverServed && !in.file.journaled: // the open file is the one before a rollback
		return nothing(cmp.Or(in.withdrawn, in.errFileMissing()))
	case in.file.fenced && !in.file.served: // a served file stays served while a fence stands: users can still read
		return nothing(core.Errorf(core.KindUnavailable, "the SQLite file %s is fenced: its control plane was moved to KV, or is being moved", in.file.path).
			WithNext("`unibusd migration status` shows the state of the migration"))
	}
	return decision{backend: core.BackendSQLite}
}

// decideKV serves the buckets once the rows are in memory and the guards are open
// for the authority. Until then no user is admitted by them and nothing is written.
func (in decisionInputs) decideKV(a core.Authority) decision {
	intent, kv := in.journal.Intent, in.kv
	switch {
	case intent != nil && a.Generation <= intent.From.Generation: // this node is giving it away
		return nothing(in.errMigrating())
	case !kv.rowsReady:
		d := nothing(core.Errorf(core.KindUnavailable, "%s reads the control plane from its buckets, and serves it once all rows are in memory", in.node).
			WithNext("wait, or connect to another node"))
		d.missing = rowsMissing
		return d
	case kv.guardsFor == nil:
		d := nothing(core.Errorf(core.KindUnavailable, "%s opens the buckets for generation %d, and serves them then", in.node, a.Generation).
			WithNext("wait, or connect to another node"))
		d.missing, d.authority = guardsMissing, a
		return d
	case *kv.guardsFor != a:
		return decision{backend: core.BackendKV, missing: guardsMissing, authority: a}
	}
	return decision{backend: core.BackendKV}
}

func nothing(reason *core.Error) decision {
	return decision{backend: core.BackendNone, reason: reason}
}

// errMigrating says that an intent stands in the journal. The migration's own reason comes first.
func (in decisionInputs) errMigrating() *core.Error {
	return cmp.Or(in.withdrawn, core.Errorf(core.KindUnavailable, "the control plane is moving to %s", in.journal.Intent.To.Backend).
		WithNext("ask again in a few seconds"))
}

// errFileMissing says why a node that is the authority serves nothing. It makes no new
// file: that would be a control plane without any users in it.
func (in decisionInputs) errFileMissing() *core.Error {
	return errFileMissing(in.node, in.file.path, in.journal.FileNeverServed, in.file.exists, in.node+" continues by itself")
}
