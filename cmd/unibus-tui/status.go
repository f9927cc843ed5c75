package main

import (
	"errors"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/tui/plain"
)

// The exit codes of `unibus-tui status`, which differ from the others': a script asks it about the cluster.
const (
	exitDegraded = 1
	exitCritical = 2 // or unreachable
	exitUsage    = 3 // or an identity that cannot be used
)

func statusCommand() *cobra.Command {
	var conn cli.Connection
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Print the verdict; exit 0 healthy, 1 degraded, 2 critical or unreachable, 3 wrong usage",
		Args: func(c *cobra.Command, args []string) error { return statusError(cli.Args()(c, args)) },
		RunE: func(c *cobra.Command, _ []string) error {
			st, err := ask(c, conn)
			if err != nil {
				return statusError(err)
			}
			show := plain.Text
			if asJSON {
				show = plain.JSON
			}
			if err := show(c.OutOrStdout(), st); err != nil {
				return err
			}
			return verdictError(st.Verdict)
		},
	}
	conn.Flags(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document, errors included")
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return statusError(core.Errorf(core.KindInvalid, "%w", err).WithNext("`unibus-tui status --help` lists the flags"))
	})
	return c
}

func ask(c *cobra.Command, conn cli.Connection) (admin.Status, error) {
	cfg, err := conn.Config("unibus-tui status")
	if err != nil { // flags or files: whatever kind it is, no node was asked
		return admin.Status{}, cli.Coded{Code: exitUsage, Err: err}
	}
	cl := admin.NewClient(cfg)
	if err := cl.Open(c.Context()); err != nil {
		return admin.Status{}, err
	}
	defer cl.Close()
	return cl.Status(c.Context())
}

func statusError(err error) error {
	if err == nil || errors.As(err, new(cli.Coded)) {
		return err
	}
	switch core.KindOf(err) {
	case core.KindInvalid, core.KindRefused:
		return cli.Coded{Code: exitUsage, Err: err}
	default:
		return cli.Coded{Code: exitCritical, Err: err}
	}
}

// verdictError is the exit code of a verdict that was printed already.
func verdictError(v cluster.Level) error {
	silent := cli.Silent{Err: errors.New(string(v))}
	switch v {
	case cluster.Degraded:
		return cli.Coded{Code: exitDegraded, Err: silent}
	case cluster.Critical:
		return cli.Coded{Code: exitCritical, Err: silent}
	}
	return nil
}
