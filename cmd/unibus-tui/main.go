// Command unibus-tui is the operators' console: it shows the state of a cluster in
// a terminal and runs operators' actions. Without a terminal it prints the status
// as text. Begin reading in package tui.
package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
	_ "time/tzdata" // the zone of scheduled backups: a machine may have none

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"unibus/cmd/cli"
	"unibus/tui"
	"unibus/tui/plain"
	"unibus/tui/statefile"
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
	bell     bool
	mouse    bool
	plain    string
}

func root() *cobra.Command {
	var o consoleFlags
	c := &cobra.Command{
		Use: "unibus-tui", Short: "The operators' console of unibus", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	o.flags(c.Flags())
	c.Example = "unibus-tui --context ops\nunibus-tui --server tls://n1:4222,tls://n2:4222 \\\n--identity ana.nk --tls-ca ca.crt"
	c.Flags().StringVar(&o.plain, "plain", "", "print one PAGE as text and end, for screen readers and pipes: "+strings.Join(tui.PageNames(), ", "))
	c.AddCommand(statusCommand(), configCommand(), serveCommand())
	values := cli.ConnectionValues()
	values["--plain"] = cli.OneOf(tui.PageNames()...)
	values["--theme"] = cli.OneOf(strings.Split(theme.NamesOf(theme.Modes()), ", ")...)
	cli.Complete(c, values)
	return c
}

func (o *consoleFlags) flags(fs *pflag.FlagSet) {
	o.Flags(fs)
	fs.BoolVar(&o.readOnly, "read-only", false, "disable every action that changes the cluster")
	fs.BoolVar(&o.ascii, "ascii", false, "draw with ASCII only (default: by the locale; --ascii=false draws other characters in any)")
	fs.StringVar(&o.theme, "theme", "auto", "colors: "+theme.NamesOf(theme.Modes())+", or the TOML file of a skin")
	fs.BoolVar(&o.bell, "bell", true, "ring when the verdict becomes worse; the key B turns it off, or on")
	fs.BoolVar(&o.mouse, "mouse", false, "take clicks and the wheel; Shift selects text as before")
}

// load completes the flags from the environment and the settings file.
func (o *consoleFlags) load(fs *pflag.FlagSet) (inForce, error) {
	f, err := loadSettings(fs, !o.Given())
	if err != nil {
		return f, err
	}
	o.theme, err = f.loadSkins(o.theme)
	return f, err
}

func (o *consoleFlags) run(c *cobra.Command) error {
	f, err := o.load(c.Flags())
	if err != nil {
		return err
	}
	if c.Flags().Changed("plain") {
		return o.printPage(c)
	}
	if reason := cannotDraw(os.Getenv("TERM")); reason != "" {
		return o.printStatus(c, reason)
	}
	// A console that ignored these, or died of them, would leave the terminal unusable.
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	var later exitNotes
	defer later.print(c)
	if o.needsSetup(f) {
		if saved, err := o.setUp(ctx, f); !saved {
			return err
		}
	}
	known := newClusters(ctx, f, later.say)
	cl, closeFirst, err := known.open(&o.Connection, later.say)
	if err != nil {
		return err
	}
	defer closeFirst()
	t, err := terminal.Open(os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	state, notice := openState()
	return tui.RunIn(ctx, tui.Config{
		State: state, Notice: notice,
		Client: cl, ReadOnly: o.readOnly, Theme: o.theme, Skins: f.skins, Keys: &f.keys, Version: version, Flags: o.CommandFlags(),
		Clusters: known, Context: o.Context, Color: known.color(o.Context), Close: closeFirst,
		ASCII: o.ascii, Unicode: c.Flags().Changed("ascii") && !o.ascii, NoBell: !o.bell, Mouse: o.mouse,
	}, t)
}

// openState opens what the console remembers. Without it the console works with the defaults.
func openState() (s *statefile.Store, notice string) {
	path, err := statefile.Path(os.Getenv)
	if err == nil {
		s, err = statefile.Open(path)
	}
	if err != nil {
		notice = tui.Notice(err)
	}
	return s, notice
}

// exitNotes is text that is printed once the console has given the terminal back.
type exitNotes struct {
	mu   sync.Mutex
	text string
}

func (a *exitNotes) say(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.text = text
}

func (a *exitNotes) print(c *cobra.Command) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.text != "" {
		c.PrintErrln(a.text)
	}
}

// cannotDraw says why the status is printed as text instead of a console, and how to show the console.
// It returns "" if a console can be drawn.
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

// plainTimeout bounds the questions that a page as text asks.
const plainTimeout = 20 * time.Second

// printPage prints one page as text.
func (o *consoleFlags) printPage(c *cobra.Command) error {
	if err := tui.CheckPage(o.plain); err != nil {
		return err
	}
	cl, err := o.Dial(c.Context(), "unibus-tui")
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(c.Context(), plainTimeout)
	defer cancel()
	text, err := tui.PlainPage(ctx, tui.Config{Client: cl, ReadOnly: o.readOnly, ASCII: o.ascii, Version: version, Flags: o.CommandFlags()}, o.plain)
	if err != nil {
		return err
	}
	c.Print(text)
	return nil
}

// printStatus prints the status as text for a pipe or `ssh host unibus-tui`.
func (o *consoleFlags) printStatus(c *cobra.Command, reason string) error {
	cl, err := o.Dial(c.Context(), "unibus-tui")
	if err != nil {
		return err
	}
	defer cl.Close()
	st, err := cl.Status(c.Context())
	if err != nil {
		return err
	}
	c.PrintErrln("unibus-tui: " + reason)
	return plain.Text(c.OutOrStdout(), st, migrationStatus(c.Context(), cl))
}
