package migrate

import "unibus/core"

// Entry is what a node knows for certain after a crash.
type Entry struct {
	Authority        *core.Authority `json:"authority,omitempty"` // the last record that this node saw
	File             string          `json:"file,omitempty"`      // the SQLite file of that generation
	FileIsAuthority  bool            `json:"home,omitempty"`      // a rollback made File the authority; an abort leaves that
	FileNeverServed  bool            `json:"unserved,omitempty"`  // no node has served that file yet, so KV is still complete
	Intent           *Intent         `json:"intent,omitempty"`    // the node may have given the authority away
	Migration        *Status         `json:"move,omitempty"`      // the present or last migration of this node
	Checkpoint       *checkpoint     `json:"checkpoint,omitempty"`
	Marks            Marks           `json:"marks,omitempty"`      // recorded by verify; absent before
	UnfinishedBackup string          `json:"unfinished,omitempty"` // a backup that is not verified yet; it has to be removed
}

// Intent is synced before the authority is moved, and cleared once the outcome is
// proven. While it exists the node serves nothing and lifts no fence.
type Intent struct {
	From        core.Authority `json:"from"`
	To          core.Authority `json:"to"`
	At          core.Millis    `json:"at"`
	File        string         `json:"file,omitempty"` // of a rollback: the SQLite file that it writes
	FileCreated bool           `json:"made,omitempty"` // this node created File and may remove it

	ReversesRollback bool `json:"reverse,omitempty"` // takes back a rollback whose file could not be served
}

// rolledBackTo is true if a rollback made this node's file the authority.
func (e Entry) rolledBackTo(node string) bool {
	a := e.Authority
	return e.FileIsAuthority && a != nil && a.Backend == core.BackendSQLite && a.Node == node
}

// checkpoint is how far the copy has come. It may lag: rows in the target beyond
// it are found equal and not written again.
type checkpoint struct {
	Tables  [5]tableCheckpoint `json:"tables"`  // in the order of core.Tables
	Removed int                `json:"removed"` // keys removed so far because the source lacks them
}

// tableCheckpoint is how far one table has come: everything up to Key is in the
// target, or all of it.
type tableCheckpoint struct {
	Key  string `json:"key,omitempty"`
	Done bool   `json:"done,omitempty"`
}

// Mark is a position in the history of a bucket's stream. Up to it every replica
// was found equal to the backup.
type Mark struct {
	Sequence uint64      `json:"sequence"`
	KeptKeys int         `json:"kept"`   // keys, including removed rows and internal keys
	Source   core.Digest `json:"source"` // of the backup
}

// Marks are the positions of all five tables.
type Marks map[core.Table]Mark

// Journal keeps an Entry. Update is on disk when it returns nil; after an error
// the old entry is in force.
type Journal interface {
	Load() (Entry, error)
	Update(change func(*Entry)) error
}
