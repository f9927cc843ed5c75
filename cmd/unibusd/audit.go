package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
)

func auditCommand() *cobra.Command {
	var n network
	var limit int
	c := n.command("audit", "Show the operators' actions, the newest first", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		if limit < 1 {
			return core.Errorf(core.KindInvalid, "--limit is %d", limit).WithNext("give a number of at least 1")
		}
		records, err := auditRecords(ctx, cl, limit)
		if err != nil {
			return err
		}
		return n.print(c, map[string]any{"records": records}, func() { auditTable(c, records) })
	})
	c.Flags().IntVar(&limit, "limit", 50, "show at most this many actions")
	return c
}

// auditRecords fetches page by page.
func auditRecords(ctx context.Context, cl *admin.Client, limit int) ([]admin.AuditRecord, error) {
	records := []admin.AuditRecord{}
	var before uint64
	for len(records) < limit {
		page, err := cl.Audit(ctx, admin.AuditRequest{Before: before, Limit: min(limit-len(records), admin.PageSize)})
		if err != nil {
			return nil, err
		}
		records = append(records, page.Records...)
		if page.Next == 0 {
			break
		}
		before = page.Next
	}
	return records, nil
}

func auditTable(c *cobra.Command, records []admin.AuditRecord) {
	if len(records) == 0 {
		c.Println("No operator has changed anything yet.")
		return
	}
	table(c, "TIME (UTC)\tOPERATOR\tNODE\tACTION\tABOUT\tOUTCOME\tTOOK", func(print func(string, ...any)) {
		for _, r := range records {
			print("%s\t%s\t%s\t%s\t%s\t%s\t%s", r.At.Time().Format(time.DateTime), r.Name, r.Node, r.Verb, r.Args, auditOutcome(r), auditTook(r))
		}
	})
}

func auditOutcome(r admin.AuditRecord) string {
	out := r.Outcome
	if r.Text != "" {
		out += ": " + r.Text
	}
	if r.Late {
		out += " (recorded by the node alone, added later)"
	}
	return out
}

func auditTook(r admin.AuditRecord) string {
	if r.Outcome == audit.OutcomeUnknown {
		return "–"
	}
	return (time.Duration(r.TookMS) * time.Millisecond).String()
}
