package feed

import (
	"slices"

	"unibus/core/admin"
)

// auditPage is how many records are asked for at a time.
const auditPage = 100

// MaxAudit is how many records are kept, about: no older ones are asked for beyond it.
const MaxAudit = 5000

// AuditLog is what operators did, newest first, as far back as somebody has looked.
type AuditLog struct {
	Node    string // who answered
	Records []admin.AuditRecord
	Next    uint64 // stands for what is older, 0 where nothing is
}

// renew puts the newest page before the older records that were read. Where
// nothing says that the two follow on each other, the page alone is kept.
func (l AuditLog) renew(page admin.Audit) AuditLog {
	out := AuditLog{Node: page.Node, Records: page.Records, Next: page.Next}
	if len(l.Records) == 0 || len(page.Records) == 0 || page.Next == 0 {
		return out
	}
	newest, oldest := l.Records[0].Seq, page.Records[len(page.Records)-1].Seq
	if page.Records[0].Seq < newest || oldest > newest { // counted anew; or more came in between than a page holds
		return out
	}
	known := slices.IndexFunc(l.Records, func(r admin.AuditRecord) bool { return r.Seq < oldest })
	if known < 0 {
		return out
	}
	out.Records = slices.Concat(page.Records, l.Records[known:])
	out.Next = l.Next
	if len(out.Records) > MaxAudit {
		out.Records = out.Records[:MaxAudit:MaxAudit]
		out.Next = out.Records[MaxAudit-1].Seq
	}
	return out
}

// further adds a page of older records.
func (l AuditLog) further(page admin.Audit) AuditLog {
	l.Records = slices.Concat(l.Records, page.Records)
	l.Next = page.Next
	return l
}
