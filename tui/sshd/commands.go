package sshd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/tui/plain"
)

// The exit codes of commands; those of status are `unibus-tui status`'s.
const (
	exitDegraded = 1
	exitFailed   = 2 // also: critical, or no node answers
	exitUsage    = 3
	exitUnshown  = 4
)

const (
	commandTimeout   = 30 * time.Second
	migrationTimeout = 2 * time.Second
	commandRows      = 200
)

// command reads something and prints it as JSON.
type command struct {
	name, does string
	read       func(ctx context.Context, c *personClient, after string) (any, error)
}

func commands() []command {
	return []command{
		{"events", "the newest events", func(ctx context.Context, c *personClient, _ string) (any, error) {
			return c.History(ctx, admin.HistoryRequest{Limit: commandRows})
		}},
		{"audit", "the newest records of what operators did", func(ctx context.Context, c *personClient, _ string) (any, error) {
			return c.Audit(ctx, admin.AuditRequest{Limit: commandRows})
		}},
		{"migration", "the state of the migration", func(ctx context.Context, c *personClient, _ string) (any, error) { return c.Migration(ctx) }},
		{"rollout", "whom the nodes would deny under enforce", func(ctx context.Context, c *personClient, _ string) (any, error) { return c.Rollout(ctx) }},
		{"users", "a page of users; --after NEXT is the next one", func(ctx context.Context, c *personClient, after string) (any, error) {
			return c.UserPage(ctx, core.UserPageRequest{After: after, NoKeys: true})
		}},
		{"rooms", "a page of rooms; --after NEXT is the next one", func(ctx context.Context, c *personClient, after string) (any, error) {
			return c.RoomPage(ctx, core.RoomPageRequest{After: after})
		}},
	}
}

// runCommand runs what stands behind `ssh HOST`, and returns the exit code.
func runCommand(ctx context.Context, c *personClient, args []string, out, errs io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	name, asJSON, after, err := parseCommand(args)
	if err != nil {
		return printError(errs, err, exitUsage)
	}
	if name == "help" {
		return printed(errs, printHelp(out), 0)
	}
	var value any
	code := 0
	show := func(w io.Writer) error { return printJSON(w, value) }
	if name == "status" {
		var st admin.Status
		var m migrate.Status
		if st, m, err = readStatus(ctx, c); err == nil {
			code = verdictCode(st.Verdict)
			show = func(w io.Writer) error { return printStatus(w, st, m, asJSON) }
		}
	} else {
		i := slices.IndexFunc(commands(), func(k command) bool { return k.name == name })
		value, err = commands()[i].read(ctx, c, after)
	}
	switch {
	case err != nil && asJSON:
		return printed(errs, printJSON(out, map[string]any{"error": core.AsError(err)}), exitFailed)
	case err != nil:
		return printError(errs, err, exitFailed)
	}
	return printed(errs, show(out), code)
}

// parseCommand reads a command line. A name that it returns is a command.
func parseCommand(args []string) (name string, asJSON bool, after string, err error) {
	if len(args) == 0 {
		return "", false, "", usageError("the command line cannot be read")
	}
	name = args[0]
	if name == "help" || name == "--help" || name == "-h" {
		return "help", false, "", nil
	}
	known := name == "status" || slices.ContainsFunc(commands(), func(k command) bool { return k.name == name })
	if !known {
		return "", false, "", usageError("there is no command %q here", core.SummaryWord(name))
	}
	for i := 1; i < len(args); i++ {
		switch {
		case args[i] == "--json":
			asJSON = true
		case args[i] == "--after" && i+1 < len(args) && (name == "users" || name == "rooms"):
			i++
			after = args[i]
		default:
			return "", false, "", usageError("%s does not take %q", name, core.SummaryWord(args[i]))
		}
	}
	return name, asJSON, after, nil
}

func usageError(format string, args ...any) error {
	return core.Errorf(core.KindInvalid, format, args...).WithNext("`ssh HOST help` lists the commands; this server has no shell and copies no files")
}

func readStatus(ctx context.Context, c *personClient) (admin.Status, migrate.Status, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return st, migrate.Status{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	m, err := c.Migration(ctx)
	if err != nil { // the status counts
		m = migrate.Status{}
	}
	return st, m, nil
}

func printStatus(w io.Writer, st admin.Status, m migrate.Status, asJSON bool) error {
	if asJSON {
		return plain.JSON(w, st, m)
	}
	return plain.Text(w, st, m)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func printHelp(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintln(b, "Without a command, and with a terminal (ssh -t), this is the console of the cluster. It only reads.")
	fmt.Fprintln(b, "\n  status [--json]  the verdict; exit 0 healthy, 1 degraded, 2 critical or no answer, 3 wrong usage")
	for _, k := range commands() {
		fmt.Fprintf(b, "  %-16s %s, as JSON\n", k.name, k.does)
	}
	return b.Flush()
}

func printError(w io.Writer, err error, code int) int {
	e := core.AsError(err)
	text := "unibus: " + e.Text
	if e.Next != "" {
		text += "\n  " + e.Next
	}
	_, _ = fmt.Fprintln(w, strings.ToValidUTF8(text, "?"))
	return code
}

// printed is the exit code of what was printed.
func printed(errs io.Writer, err error, code int) int {
	if err != nil {
		return printError(errs, core.Errorf(core.KindFailed, "the output was not written: %w", err), exitUnshown)
	}
	return code
}

func verdictCode(v cluster.Level) int {
	switch v {
	case cluster.Degraded:
		return exitDegraded
	case cluster.Critical:
		return exitFailed
	}
	return 0
}
