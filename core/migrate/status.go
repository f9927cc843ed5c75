package migrate

import "unibus/core"

// State is the state of a migration. The order is that of States.
type State string

// The states, and the two in which nothing was or is migrated.
const (
	StateNone      State = "none" // no migration was ever started
	StateAborted   State = "aborted"
	StatePreflight State = "preflight"
	StateBackup    State = "backup"
	StateCopy      State = "copy"
	StateVerify    State = "verify" // when Status.Verified is set it waits for the operator
	StateFence     State = "fence"
	StateCutover   State = "cutover"
	StateSoak      State = "soak"
	StateDone      State = "done"

	StateRollback   State = "rollback"   // from soak: KV is closed, exported to a new SQLite file, and the authority moves back
	StateRolledBack State = "rolledback" // SQLite serves again, with everything that was written since the cutover
)

// States returns the states of a migration in order, for timelines. A rollback
// follows soak.
func States() []State {
	return []State{StatePreflight, StateBackup, StateCopy, StateVerify, StateFence, StateCutover, StateSoak, StateDone}
}

// Options are what an operator requests of a migration.
type Options struct {
	DB       string `json:"db"`        // absolute path of the source, which its node must have open
	Replicas int    `json:"replicas"`  // every bucket is raised to this before the copy; 0: left as it is
	NoBackup bool   `json:"no_backup"` // use a temporary copy that is removed after verify; the fence then reads the target instead
	DryRun   bool   `json:"dry_run"`   // preflight and conversion in memory, nothing is written
	Cutover  bool   `json:"cutover"`   // go on after verify without waiting

	Rate         int      `json:"rate,omitempty"`    // at most so many rows a second; 0: no limit
	IgnoredNodes []string `json:"discard,omitempty"` // nodes whose divergent SQLite files the operator leaves behind
	Ignored      []string `json:"ignore,omitempty"`  // TABLE or TABLE.COLUMN of the source that the operator leaves behind
}

// Status is a migration as every node shows it: one record in UNIBUS_control,
// written by the source node.
type Status struct {
	ID               string            `json:"id,omitempty"`
	State            State             `json:"state"`
	Node             string            `json:"node,omitempty"` // the source node, which runs the migration
	By               string            `json:"by,omitempty"`   // the operator who started it
	Options          Options           `json:"options"`
	Started          core.Millis       `json:"started,omitempty"`
	Updated          core.Millis       `json:"updated,omitempty"`
	Since            core.Millis       `json:"since,omitempty"` // when the present state was entered
	Running          bool              `json:"running"`         // the source node is working on it now
	Paused           bool              `json:"paused"`
	Aborting         string            `json:"aborting,omitempty"`    // the operator who aborted it, while that is running
	Removed          int               `json:"removed,omitempty"`     // keys that an abort has removed from KV
	Verified         bool              `json:"verified"`              // every bucket was equal on every node, so that a cutover is possible
	UnreadyNodes     []string          `json:"unready,omitempty"`     // nodes that are still loading the target's rows into memory; they serve later than the others
	BackupOutdated   bool              `json:"outdated,omitempty"`    // a fence wrote changes and could not verify them; only a new start has a backup to compare with
	ComparedAt       core.Millis       `json:"compared_at,omitempty"` // when Verified became true; the rest of verify is waiting
	Source           SourceFile        `json:"source"`
	Backup           Backup            `json:"backup"`
	Export           Backup            `json:"export,omitzero"`       // the SQLite file that a rollback wrote
	History          []StateTransition `json:"history,omitempty"`     // when each state was entered, oldest first
	EstimateMS       int64             `json:"estimate_ms,omitempty"` // preflight's estimate for backup, copy and verify
	Divergences      []Divergence      `json:"drift,omitempty"`       // how other nodes' own SQLite files differ
	Progress         []Progress        `json:"progress"`
	Written          int               `json:"written"`                    // keys put or removed by the last run
	WrittenIsMinimum bool              `json:"written_at_least,omitempty"` // it stopped while writing; a batch may have arrived uncounted
	Rate             float64           `json:"rate"`                       // rows a second, of the copy
	LeftMS           int64             `json:"left_ms"`                    // estimate; 0 unknown
	Buckets          []Parity          `json:"buckets"`
	Problems         []core.Problem    `json:"problems"`
	Notes            []core.Problem    `json:"notes,omitempty"`     // what preflight saw that stops nothing
	Leftovers        []core.Leftover   `json:"leftovers,omitempty"` // what the source holds and is not migrated
	Error            *core.Error       `json:"error,omitempty"`     // why it stopped in State
	Result           string            `json:"result,omitempty"`    // the last result, as a sentence
}

// SourceFile is the SQLite file that is migrated.
type SourceFile struct {
	Path   string `json:"path,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	Schema int    `json:"schema,omitempty"`
}

// Backup is a copy of the control plane in a SQLite file.
type Backup struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes,omitempty"`
}

// StateTransition is the moment in which a state was entered.
type StateTransition struct {
	State State       `json:"state"`
	At    core.Millis `json:"at"`
}

// Divergence compares another node's own SQLite file with the source: nodes that
// ran apart have diverged.
type Divergence struct {
	Node    string            `json:"node"`
	File    string            `json:"file"`
	Tables  []TableDivergence `json:"tables"`
	Ignored bool              `json:"discarded,omitempty"` // the operator chose to ignore it
	Error   string            `json:"error,omitempty"`     // why the comparison is incomplete; Tables is then what was compared
}

// TableDivergence counts the rows of one table that differ between two files.
type TableDivergence struct {
	Table     core.Table `json:"table"`
	OnlyHere  int        `json:"only_here"`  // in the source
	OnlyThere int        `json:"only_there"` // in the other node's file: a migration would leave them behind
	Different int        `json:"different"`
	Keys      []string   `json:"keys,omitempty"` // "here/", "there/" or "different/" and the key, at most MaxListed
}

// Equal is true if the two tables hold the same rows.
func (d TableDivergence) Equal() bool { return d.OnlyHere+d.OnlyThere+d.Different == 0 }

// Progress is how far the copy of one table has come.
type Progress struct {
	Table core.Table `json:"table"`
	Done  int        `json:"done"`
	Total int        `json:"total"`
}

// Parity compares one bucket with its source, on every node's own replica.
type Parity struct {
	Name      string                 `json:"name"` // of the bucket
	Source    core.Digest            `json:"source"`
	Nodes     map[string]core.Digest `json:"nodes"`
	Missing   []string               `json:"missing"`           // node/key, at most MaxListed
	Different []string               `json:"different"`         // likewise
	Extra     []string               `json:"extra"`             // likewise
	Changed   int                    `json:"changed,omitempty"` // keys that changed between verify and fence, compared by value on every node
}

// MaxListed is how many keys a Parity names of each kind.
const MaxListed = 50

// Equal is true if every node's digest is the source's and there is at least one
// node.
func (p Parity) Equal() bool {
	for _, d := range p.Nodes {
		if d != p.Source {
			return false
		}
	}
	return len(p.Nodes) > 0
}

// Active is true from preflight until the authority has moved: the operator may
// still abort.
func (s Status) Active() bool {
	switch s.State {
	case StatePreflight, StateBackup, StateCopy, StateVerify, StateFence:
		return true
	}
	return false
}
