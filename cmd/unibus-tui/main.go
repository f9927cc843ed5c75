// Command unibus-tui is the operators' console: it shows the state of a cluster in
// a terminal and runs operators' actions. Without a terminal it prints the status
// as text. Begin reading in package tui.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/tui"
	"unibus/tui/plain"
	"unibus/tui/terminal"
	"unibus/tui/theme"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Execute(ctx, root(), version, os.Args[1:])
}

// consoleFlags are the flags of the console.
type consoleFlags struct {
	cli.Connection
	readOnly bool
	ascii    bool
	theme    string
}

func root() *cobra.Command {
	var o consoleFlags
	c := &cobra.Command{
		Use: "unibus-tui", Short: "The operators' console of unibus", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	o.Flags(c.Flags())
	c.Flags().BoolVar(&o.readOnly, "read-only", false, "disable every action that changes the cluster")
	c.Flags().BoolVar(&o.ascii, "ascii", false, "draw with ASCII only (default: by the locale; --ascii=false draws other characters in any)")
	c.Flags().StringVar(&o.theme, "theme", "auto", "colors: auto, dark, light, basic (16 colors) or mono")
	c.Example = "unibus-tui --context ops\nunibus-tui --server tls://n1:4222,tls://n2:4222 \\\n--identity ana.nk --tls-ca ca.crt"
	c.AddCommand(statusCommand())
	values := cli.ConnectionValues()
	values["--theme"] = cli.OneOf("auto", "dark", "light", "basic", "mono")
	cli.Complete(c, values)
	return c
}

func (o *consoleFlags) run(c *cobra.Command) error {
	if _, ok := theme.ParseMode(o.theme); !ok || o.theme == "" {
		return core.Errorf(core.KindInvalid, "--theme: there is no theme %q", o.theme).WithNext("use auto, dark, light, basic (16 colors) or mono")
	}
	cl, err := o.Dial(c.Context(), "unibus-tui")
	if err != nil {
		return err
	}
	defer cl.Close()
	if reason := cannotDraw(os.Getenv("TERM")); reason != "" {
		return o.printStatus(c, cl, reason)
	}
	// A console that ignored these, or died of them, would leave the terminal unusable.
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	t, err := terminal.Open(os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	return tui.RunIn(ctx, tui.Config{
		Client: cl, ReadOnly: o.readOnly, Theme: o.theme, Version: version, Flags: o.CommandFlags(),
		ASCII: o.ascii, Unicode: c.Flags().Changed("ascii") && !o.ascii,
	}, t)
}

// cannotDraw says why the status is printed as text instead of a console, and what shows the console. It
// returns "" if a console can be drawn.
func cannotDraw(terminalType string) string {
	switch {
	case !term.IsTerminal(os.Stdout.Fd()) || !term.IsTerminal(os.Stdin.Fd()):
		return "not a terminal, printing the status as text; over SSH use `ssh -t`"
	case terminalType == "":
		return "TERM is not set, printing the status as text; for the console give the terminal's type, such as TERM=xterm"
	case terminalType == "dumb", terminalType == "unknown":
		return "TERM is " + terminalType + ", so nothing can be drawn: printing the status as text; for the console give the terminal's type, such as TERM=xterm"
	}
	return ""
}

// printStatus prints the status as text for a pipe or `ssh host unibus-tui`.
func (o *consoleFlags) printStatus(c *cobra.Command, cl *admin.Client, reason string) error {
	st, err := cl.Status(c.Context())
	if err != nil {
		return err
	}
	c.PrintErrln("unibus-tui: " + reason)
	return plain.Text(c.OutOrStdout(), st, migrationStatus(c.Context(), cl))
}
