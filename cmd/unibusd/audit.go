package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
)

func auditCommand() *cobra.Command {
	var n network
	var f auditFilter
	var limit int
	var format string
	var files []string
	c := n.command("audit", "Show the actions of operators and user-admins, the newest first", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		return n.showAudit(ctx, c, cl.Audit, f, limit, format)
	})
	show := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error { // bad values are refused before a connection is made
		if limit < 1 {
			return core.Errorf(core.KindInvalid, "--limit is %d", limit).WithNext("give a number of at least 1")
		}
		if format != "" && !c.Flags().Changed("limit") {
			limit = noLimit
		}
		if err := checkFormat(format, n.json); err != nil {
			return err
		}
		if err := f.parse(time.Now()); err != nil {
			return err
		}
		if len(files) == 0 {
			return show(c, args)
		}
		from, err := n.readFiles(c, files, f.from)
		if err != nil {
			return err
		}
		return n.showAudit(c.Context(), c, from, f, limit, format)
	}
	c.Flags().IntVar(&limit, "limit", 50, "show at most this many actions; with --format all, unless it is given")
	c.Flags().StringVar(&format, "format", "", "export as csv or jsonl")
	f.flags(c.Flags())
	fileFlag(c.Flags(), &files)
	c.AddCommand(auditVerifyCommand(), auditRevocationsCommand())
	return c
}

// noLimit is more actions than an audit has.
const noLimit = int(^uint(0) >> 1)

func (n *network) showAudit(ctx context.Context, c *cobra.Command, from auditPages, f auditFilter, limit int, format string) error {
	if format != "" {
		return exportAudit(ctx, c.OutOrStdout(), from, f, limit, format)
	}
	records := []admin.AuditRecord{}
	err := eachAction(ctx, from, f, limit, func(r admin.AuditRecord) error {
		records = append(records, r)
		return nil
	})
	if err != nil {
		return err
	}
	return n.print(c, map[string]any{"records": records}, func() { auditTable(c, records, f.given()) })
}

// auditPages returns a page of the audit, the newest first.
type auditPages func(context.Context, admin.AuditRequest) (admin.Audit, error)

// eachAction calls do for at most limit actions that match, the newest first. It reads
// page by page.
func eachAction(ctx context.Context, from auditPages, f auditFilter, limit int, do func(admin.AuditRecord) error) error {
	var before uint64
	for found := 0; ; {
		size := admin.PageSize
		if !f.given() {
			size = min(limit-found, admin.PageSize)
		}
		page, err := from(ctx, admin.AuditRequest{Before: before, Limit: size})
		if err != nil {
			return err
		}
		for _, r := range page.Records {
			if !f.matches(r) {
				continue
			}
			if err := do(r); err != nil {
				return err
			}
			if found++; found == limit {
				return nil
			}
		}
		if page.Next == 0 {
			return nil
		}
		before = page.Next
	}
}

func auditVerifyCommand() *cobra.Command {
	var n network
	var file string
	c := &cobra.Command{
		Use: "verify", Short: "Check that no record of the audit is missing, changed or forged", Args: cli.Args(),
		Long: "verify reads the whole audit and checks the chain of its records and the signatures on it.\n" +
			"With --file it checks a node's copy, and the older file beside it, without a connection; --cluster-key names the cluster's key then.",
		RunE: func(c *cobra.Command, _ []string) error {
			var r audit.Report
			var err error
			if file != "" {
				r, err = n.verifyFile(file)
			} else {
				r, err = n.verifyConnected(c.Context())
			}
			if err != nil {
				return err
			}
			return n.showVerified(c, r)
		},
	}
	n.flags(c)
	c.Flags().StringVar(&file, "file", "", "check this copy, the audit.jsonl of a node, without a connection")
	return c
}

func auditTable(c *cobra.Command, records []admin.AuditRecord, filtered bool) {
	if len(records) == 0 && filtered {
		c.Println("No action matches.")
		return
	}
	if len(records) == 0 {
		c.Println("No operator and no user-admin has changed anything yet.")
		return
	}
	table(c, "TIME (UTC)\tOPERATOR\tNODE\tACTION\tABOUT\tOUTCOME\tTOOK", func(print func(string, ...any)) {
		for _, r := range records {
			print("%s\t%s\t%s\t%s\t%s\t%s\t%s", r.At.Time().Format(time.DateTime), text(new(r.Actor())), r.Node, r.Verb, r.Args, text(new(auditOutcome(r))), auditTook(r))
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
