package core

// Backup describes a whole control plane as one SQLite file, which a node keeps
// until it was fetched.
type Backup struct {
	Node    string        `json:"node"`
	Backend Backend       `json:"backend"` // what it was taken from
	Schema  int           `json:"schema"`
	Bytes   int64         `json:"bytes"`
	SHA256  string        `json:"sha256"` // of the file's bytes, in hex
	Tables  []BackupTable `json:"tables"`
}

// BackupTable is one table of a backup, with the digest that it has in the bucket.
type BackupTable struct {
	Table Table `json:"table"`
	Digest
}

// BackupPartRequest asks for the part of a backup at an offset in bytes. The token
// is the caller's own.
type BackupPartRequest struct {
	Token  string `json:"token"`
	Offset int64  `json:"offset,omitempty"`
	Look   bool   `json:"look,omitempty"` // only how far it is
	End    bool   `json:"end,omitempty"`  // the caller has it, or gives it up: the node forgets it
}

// BackupPart is a part of a backup's file, or how far its making is.
type BackupPart struct {
	Data []byte `json:"data,omitempty"`
	Rows int    `json:"rows,omitempty"` // written so far, while it is being made
}

// RestorePartRequest brings a part of the database that a cluster is to be filled with.
type RestorePartRequest struct {
	Token  string `json:"token"` // of the caller's own, 32 to 64 of A-Za-z0-9
	Offset int64  `json:"offset"`
	Total  int64  `json:"total"`
	Data   []byte `json:"data,omitempty"`
	End    bool   `json:"end,omitempty"` // the caller gives it up: the node forgets it
}

// RestorePart is how far a restore is.
type RestorePart struct {
	Bytes int64 `json:"bytes"`          // that have arrived
	Rows  int   `json:"rows,omitempty"` // in the buckets so far
}

// RestoreRequest has the node put the database that it was brought into the buckets.
type RestoreRequest struct {
	Token  string        `json:"token"`
	SHA256 string        `json:"sha256"` // of the bytes that were brought
	Tables []BackupTable `json:"tables"` // what is in it
}

// ClusterRestored is a cluster that was filled with a backup.
type ClusterRestored struct {
	Node       string        `json:"node"`       // that did it
	Generation uint64        `json:"generation"` // of the authority
	Tables     []BackupTable `json:"tables"`
	Replicas   []string      `json:"replicas"` // the nodes whose replicas were read and compared
}
