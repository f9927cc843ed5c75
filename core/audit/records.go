package audit

import (
	"encoding/json"

	"unibus/core"
)

// Intent describes what an operator is about to do, or a user-admin: see UserAdmin.
type Intent struct {
	By       core.Operator
	Verb     string
	Args     string // the target and the arguments in a few words, never a secret
	Restores bool   // it restores a quorum or locks an attacker out: the node's own file is enough
}

// Action is an action whose intent was written.
type Action struct {
	ID    string
	seq   uint64 // of the intent in the stream; 0 where it is not known
	local bool   // the intent is in the file
	at    core.Millis
}

// The outcomes that are no error kind.
const (
	OutcomeOK      = "ok"
	OutcomeUnknown = "unknown" // none was recorded: the action is under way, or its node died
)

// Record is an action as the audit shows it.
type Record struct {
	Seq     uint64            `json:"seq"` // of the intent, counted by the stream, or a place in the file; for paging
	ID      string            `json:"id"`
	At      core.Millis       `json:"at"` // when the intent was made, by the node's clock
	Node    string            `json:"node"`
	Key     string            `json:"key"` // the public nkey of the operator or the user-admin
	Name    string            `json:"name"`
	Role    core.OperatorRole `json:"role"` // RoleUserAdmin: no operator
	Verb    string            `json:"verb"`
	Args    string            `json:"args,omitempty"`
	Outcome string            `json:"outcome"` // ok, an error's kind, or unknown
	Text    string            `json:"text,omitempty"`
	TookMS  int64             `json:"took_ms"`
	Late    bool              `json:"late,omitempty"`   // added to the stream afterwards
	Effect  core.Outcome      `json:"effect,omitempty"` // of a failed action, where the error told: none or unknown
	Source  string            `json:"-"`                // what Seq counts in, of records that were read from files: only within one it is an order
}

// Query asks for records, newest first.
type Query struct {
	Since  uint64 // only those with a higher Seq
	Before uint64 // only those with a lower Seq; 0: all
	Limit  int    // at most; 1 or more
}

// Page is an answer. Next is the Before of the next page, 0 at the end.
type Page struct {
	Records []Record
	Next    uint64
}

const (
	phaseIntent     = "intent"
	phaseOutcome    = "outcome"
	phaseCheckpoint = "checkpoint"
)

// entry is one message of the stream, or one line of the file.
type entry struct {
	V     int         `json:"v"`
	ID    string      `json:"id"`
	Phase string      `json:"phase"`
	At    core.Millis `json:"at"`
	Node  string      `json:"node"`
	Late  bool        `json:"late,omitempty"`

	Key  string            `json:"key,omitempty"`
	Name string            `json:"name,omitempty"`
	Role core.OperatorRole `json:"role,omitempty"`
	Verb string            `json:"verb,omitempty"`
	Args string            `json:"args,omitempty"`

	Kind   string `json:"kind,omitempty"`
	Text   string `json:"text,omitempty"`
	TookMS int64  `json:"took_ms,omitempty"`

	Effect core.Outcome `json:"effect,omitempty"`

	// Prev is the SHA-256 of the record before this one in the stream, or of the line
	// before it in the file of a node alone. Records of earlier versions have none.
	Prev string `json:"prev,omitempty"`
	// A checkpoint signs the record Upto; Key is the cluster's public key then.
	Upto      uint64 `json:"upto,omitempty"`
	Hash      string `json:"hash,omitempty"`
	Signature []byte `json:"signature,omitempty"`
}

const entryVersion = 1

// maxText bounds the text of one entry, in bytes.
const maxText = 1024

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return core.CutText(s, maxText) + "…"
}

func (e entry) encode() []byte {
	data, err := json.Marshal(e)
	if err != nil {
		panic("audit: an entry of texts and numbers cannot be encoded: " + err.Error())
	}
	return data
}

func decodeEntry(data []byte) (entry, error) {
	var e entry
	if err := json.Unmarshal(data, &e); err != nil {
		return e, core.Errorf(core.KindFailed, "an entry of the audit is damaged")
	}
	if e.V != entryVersion || !validID(e.ID) || e.Phase != phaseIntent && e.Phase != phaseOutcome && e.Phase != phaseCheckpoint {
		return e, core.Errorf(core.KindFailed, "an entry of the audit was written by another version")
	}
	return e, nil
}

// validID is true where an id can be part of a subject.
func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		default:
			return false
		}
	}
	return true
}

func (e entry) record(seq uint64) Record {
	return Record{
		Seq: seq, ID: e.ID, At: e.At, Node: e.Node, Key: e.Key, Name: e.Name, Role: e.Role,
		Verb: e.Verb, Args: e.Args, Outcome: OutcomeUnknown, Late: e.Late,
	}
}

func (r *Record) ended(e entry) {
	r.Outcome, r.Text, r.TookMS, r.Effect = e.Kind, e.Text, e.TookMS, e.Effect
}
