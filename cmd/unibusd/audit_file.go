package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
)

func fileFlag(fs *pflag.FlagSet, files *[]string) {
	fs.StringArrayVar(files, "file", nil, "read this audit.jsonl of a node, or a copy of it, without a connection; can be given several times")
}

// readFiles reads nodes' files as one audit, and says on the error stream what they lack.
func (n *network) readFiles(c *cobra.Command, files []string, since core.Millis) (auditPages, error) {
	if n.Given() {
		return nil, core.Errorf(core.KindInvalid, "--file and a connection cannot be given together").WithNext("leave one of them out")
	}
	all, err := audit.ReadFiles(files...)
	if err != nil {
		return nil, err
	}
	if all.Damaged > 0 {
		c.PrintErrf("%s cannot be read, as after a crash; check the file: unibusd audit verify --file FILE\n", counted(all.Damaged, "line", "lines"))
	}
	for _, file := range files {
		r, err := n.verifyFile(file)
		if err != nil {
			return nil, err
		}
		if len(r.Faults) > 0 {
			c.PrintErrf("%s is not whole: %s: the list lacks the missing records; check it: unibusd audit verify --file %s\n", file, r.Faults[0], core.ShellQuote(file))
		}
	}
	if n := len(all.Records); all.Cut && (n == 0 || since == 0 || since-admin.ClockMargin < all.Records[n-1].At) {
		c.PrintErrln("Older records than these are missing: the file was full, or the copy began later. Give the files of other nodes, too.")
	}
	return func(context.Context, admin.AuditRequest) (admin.Audit, error) {
		return admin.Audit{Records: all.Records}, nil
	}, nil
}
