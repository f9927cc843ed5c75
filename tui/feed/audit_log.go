package feed

import (
	"slices"

	"unibus/core/admin"
)

// auditPageSize is the number of records per request.
const auditPageSize = 100

// MaxAudit bounds the kept records: the feed requests no older ones beyond it.
const MaxAudit = 5000

// AuditLog is the operators' actions, newest first, as far back as the operator
// has scrolled.
type AuditLog struct {
	Node    string // that answered
	Records []admin.AuditRecord
	Next    uint64 // the cursor for older records, 0 if there are none
}

// prependNewest puts the newest page before the older records. If the two may
// have a gap between them, it keeps only the page.
func (l AuditLog) prependNewest(page admin.Audit) AuditLog {
	out := AuditLog{Node: page.Node, Records: page.Records, Next: page.Next}
	if len(l.Records) == 0 || len(page.Records) == 0 || page.Next == 0 {
		return out
	}
	newest, oldest := l.Records[0].Seq, page.Records[len(page.Records)-1].Seq
	if page.Records[0].Seq < newest || oldest > newest { // renumbered, or more new records than a page holds
		return out
	}
	overlap := slices.IndexFunc(l.Records, func(r admin.AuditRecord) bool { return r.Seq < oldest })
	if overlap < 0 {
		return out
	}
	out.Records = slices.Concat(page.Records, l.Records[overlap:])
	out.Next = l.Next
	if len(out.Records) > MaxAudit {
		out.Records = out.Records[:MaxAudit:MaxAudit]
		out.Next = out.Records[MaxAudit-1].Seq
	}
	return out
}

// appendOlder adds a page of older records.
func (l AuditLog) appendOlder(page admin.Audit) AuditLog {
	l.Records = slices.Concat(l.Records, page.Records)
	l.Next = page.Next
	return l
}
