package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/plain"
)

// The exit codes of `unibus-tui status`. Scripts branch on these codes, so they
// differ from other commands'.
const (
	exitDegraded     = 1
	exitCritical     = 2 // or unreachable
	exitUsage        = 3 // or an identity that cannot be used
	exitOutputFailed = 4 // the status cannot be written, whatever the verdict is
)

// migrationTimeout bounds how long the migration may delay a status.
const migrationTimeout = 2 * time.Second

func statusCommand() *cobra.Command {
	var conn cli.Connection
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Print the verdict; exit 0 healthy, 1 degraded, 2 critical or unreachable, 3 wrong usage, 4 output not written",
		Args: func(c *cobra.Command, args []string) error { return statusError(cli.Args()(c, args)) },
		RunE: func(c *cobra.Command, _ []string) error {
			st, migration, err := requestStatus(c, conn)
			if err != nil {
				return statusError(err)
			}
			show := plain.Text
			if asJSON {
				show = plain.JSON
			}
			if err := show(c.OutOrStdout(), st, migration); err != nil {
				return cli.Coded{Code: exitOutputFailed, Err: err}
			}
			return verdictError(st.Verdict)
		},
	}
	c.Example = "unibus-tui status --context ops\nunibus-tui status --json --context ops"
	conn.Flags(c.Flags())
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document, errors included")
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return statusError(core.Errorf(core.KindInvalid, "%w", cli.FlagError(err)).WithNext("`unibus-tui status --help` lists the flags"))
	})
	return c
}

func requestStatus(c *cobra.Command, conn cli.Connection) (admin.Status, migrate.Status, error) {
	err := applyContext(&conn)
	if err != nil {
		return admin.Status{}, migrate.Status{}, cli.Coded{Code: exitUsage, Err: err}
	}
	cfg, err := conn.Config(c.Context(), "unibus-tui status")
	if err != nil { // flags or files: whatever kind it is, no node was asked
		return admin.Status{}, migrate.Status{}, cli.Coded{Code: exitUsage, Err: err}
	}
	cl, err := conn.Open(c.Context(), cfg)
	if err != nil {
		return admin.Status{}, migrate.Status{}, err
	}
	defer cl.Close()
	st, err := cl.Status(c.Context())
	if err != nil {
		return st, migrate.Status{}, err
	}
	return st, migrationStatus(c.Context(), cl), nil
}

// migrationStatus returns the state of the migration, empty if no node answers.
func migrationStatus(ctx context.Context, cl *admin.Client) migrate.Status {
	ctx, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	m, err := cl.Migration(ctx)
	if err != nil {
		return migrate.Status{}
	}
	return m
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

// verdictError is the exit code of a verdict that has been printed.
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
