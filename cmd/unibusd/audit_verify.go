package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
	"unibus/core/keys"
)

func (n *network) verifyFile(file string) (audit.Report, error) {
	rest := n.Connection
	rest.ClusterKey = "" // it checks the signatures of a file, too
	if rest.Given() {
		return audit.Report{}, core.Errorf(core.KindInvalid, "--file and a connection cannot be given together").WithNext("leave one of them out")
	}
	if n.ClusterKey != "" {
		if err := keys.CheckClusterKey(n.ClusterKey); err != nil {
			return audit.Report{}, err
		}
	}
	v := audit.NewVerifier(audit.VerifyConfig{Key: n.ClusterKey, Signed: keys.SignedByCluster})
	if err := v.VerifyFile(file); err != nil {
		return audit.Report{}, err
	}
	return v.Report(), nil
}

// verifyConnected is verifyStream over a connection of its own.
func (n *network) verifyConnected(ctx context.Context) (audit.Report, error) {
	cl, err := n.Dial(ctx, "unibusd audit verify")
	if err != nil {
		return audit.Report{}, err
	}
	defer cl.Close()
	return verifyStream(ctx, cl)
}

// verifyStream reads all pages. The checkpoints have to be signed by the key that the
// cluster proved.
func verifyStream(ctx context.Context, cl *admin.Client) (audit.Report, error) {
	var v *audit.Verifier
	for from := uint64(1); from > 0; {
		page, err := cl.AuditRaw(ctx, from)
		if err != nil {
			return audit.Report{}, err
		}
		if v == nil { // the first answer came after the proof
			v = audit.NewVerifier(audit.VerifyConfig{Key: cl.ClusterKey(), Signed: keys.SignedByCluster})
		}
		v.Page(page)
		if page.Next > 0 && page.Next <= from {
			return audit.Report{}, core.Errorf(core.KindFailed, "the node repeats a page of the audit")
		}
		from = page.Next
	}
	return v.Report(), nil
}

// showVerified returns an error of exit code 1 where a fault was found.
func (n *network) showVerified(c *cobra.Command, r audit.Report) error {
	if err := n.print(c, r, func() { verifiedText(c, r) }); err != nil {
		return err
	}
	if len(r.Faults) == 0 {
		return nil
	}
	err := core.Errorf(core.KindFailed, "the audit is not whole: %s", r.Faults[0]).
		WithNext("change nothing; check the copy of each node with `unibusd audit verify --file audit.jsonl`, and compare the logs")
	if n.json {
		return cli.Silent{Err: err}
	}
	return err
}

func verifiedText(c *cobra.Command, r audit.Report) {
	if r.Records == 0 {
		c.Println("The audit has no records yet.")
		return
	}
	signed := "no checkpoint"
	if r.Checkpoints > 0 {
		signed = counted(r.Checkpoints, "checkpoint", "checkpoints") + " signed by " + r.Key
	}
	c.Printf("%s from %s to %s UTC, %s.\n", counted(r.Records, "record", "records"), r.From.Time().UTC().Format(time.DateTime), r.To.Time().UTC().Format(time.DateTime), signed)
	for _, note := range []struct {
		n    int
		text string
	}{
		{r.Unsigned, "after the last checkpoint: chained, and not signed yet"},
		{r.Unchained, "at the beginning: written by an earlier version, and not chained"},
		{r.Pending, "written by the node alone: not part of the chain"},
	} {
		if note.n > 0 {
			c.Printf("%s %s.\n", counted(note.n, "record", "records"), note.text)
		}
	}
	if r.Damaged > 0 {
		c.Printf("%s of the file cannot be read, as after a crash.\n", counted(r.Damaged, "line", "lines"))
	}
	if len(r.Faults) == 0 {
		c.Println("No record is missing, changed or forged.")
		return
	}
	c.Printf("%s:\n", counted(len(r.Faults), "fault", "faults"))
	for _, f := range r.Faults {
		c.Printf("  %s\n", f)
	}
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
