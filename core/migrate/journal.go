package migrate

import "unibus/core"

// Entry is what a node knows for certain after a crash.
type Entry struct {
	Authority        *core.Authority `json:"authority,omitempty"` // the last record this node saw
	File             string          `json:"file,omitempty"`      // the SQLite file of that generation
	FileIsAuthority  bool            `json:"home,omitempty"`      // a rollback made File the authority: an abort leaves it so
	FileNeverServed  bool            `json:"unserved,omitempty"`  // and nobody has served it yet: KV still holds all of it
	Intent           *Intent         `json:"intent,omitempty"`    // set: the node may have given the authority away
	Migration        *Status         `json:"move,omitempty"`      // the move this node does or did
	Checkpoint       *Checkpoint     `json:"checkpoint,omitempty"`
	Marks            Marks           `json:"marks,omitempty"`      // what was verified; absent before that
	UnfinishedBackup string          `json:"unfinished,omitempty"` // a backup that was begun and not proven: whatever there is of it is removed
}

// Intent is synced before the authority is moved and taken back once the
// outcome is proven. While it stands the node serves nothing and lifts no fence.
type Intent struct {
	From        core.Authority `json:"from"`
	To          core.Authority `json:"to"`
	At          core.Millis    `json:"at"`
	File        string         `json:"file,omitempty"` // of a rollback: the SQLite file that is written
	FileCreated bool           `json:"made,omitempty"` // and it was this node that made it: nobody else's file is removed

	ReversesRollback bool `json:"reverse,omitempty"` // a rollback that moved the authority to a file nobody could serve is taken back
}

// rolledBackTo is true where a rollback made this node's file the authority.
func (e Entry) rolledBackTo(node string) bool {
	a := e.Authority
	return e.FileIsAuthority && a != nil && a.Backend == core.BackendSQLite && a.Node == node
}

// Checkpoint is how far the copy has come. It may lag: what is in the target
// beyond it is found equal, and not written again.
type Checkpoint struct {
	Tables  [5]TableCheckpoint `json:"tables"`  // in the order of core.Tables
	Removed int                `json:"removed"` // keys the source lacks, removed so far
}

// TableCheckpoint is how far one table has come: everything up to Key is in the target, or all of it.
type TableCheckpoint struct {
	Key  string `json:"key,omitempty"`
	Done bool   `json:"done,omitempty"`
}

// Mark is a place in a bucket's history: everything up to it was found equal to
// the backup on every replica.
type Mark struct {
	Sequence uint64      `json:"sequence"`
	KeptKeys int         `json:"kept"`   // keys, those of removed rows and of the mechanism included
	Source   core.Digest `json:"source"` // of the backup
}

// Marks are the places of all five tables.
type Marks map[core.Table]Mark

// Journal keeps an Entry. Update is on disk when it returns nil; with an error the old entry stands.
type Journal interface {
	Load() (Entry, error)
	Update(change func(*Entry)) error
}
