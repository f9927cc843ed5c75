// Package cli holds the shared command line of the two programs: how an error reaches a
// person or a script, the exit codes, and the flags that select the cluster and the
// identity.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"charm.land/fang/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"unibus/core"
)

// Execute runs a program's root command and returns its exit code: that of the error's kind,
// or of Coded. An error is printed once: as text on the command's error stream, or as one
// JSON document on its output where --json was given. Everything that a command prints or
// logs goes through core.Redact, and the process leaves no core dump.
func Execute(ctx context.Context, root *cobra.Command, version string, args []string) int {
	forbidDumps()
	if os.Getenv("NO_COLOR") != "" {
		_ = os.Setenv("NO_COLOR", "1") // any value means it, but the color library reads a boolean
	}
	root.SetArgs(args)
	out := newStream(os.Stdout)
	root.SetOut(out) // or cobra's Print methods write to the error stream
	root.SetErr(newStream(os.Stderr))
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return core.Errorf(core.KindInvalid, "%s: %w", c.CommandPath(), FlagError(err)).WithNext("`%s --help` lists the flags", c.CommandPath())
	})
	asJSON := slices.Contains(args, "--json") || slices.Contains(args, "--json=true")
	err := usage(root, execute(ctx, root, version, args))
	if failed := out.failed.Load(); err == nil && failed != nil { // cobra's Print methods return no error
		err = *failed
	}
	printError(root, err, asJSON)
	var coded Coded
	if errors.As(err, &coded) {
		return coded.Code
	}
	return core.ExitCode(err)
}

// execute runs the command, and leaves manual pages to fang. Help and errors stay away from it: for each it asks
// the terminal for its background, in raw mode, and waits seconds for one that does not answer.
func execute(ctx context.Context, root *cobra.Command, version string, args []string) error {
	if len(args) > 0 && args[0] == "man" {
		return fang.Execute(ctx, root, fang.WithVersion(version), fang.WithErrorHandler(func(io.Writer, fang.Styles, error) {}))
	}
	root.Version = version
	if len(args) > 0 && args[0] == "help" { // the same as --help, also for what does not exist
		root.SetArgs(append(slices.Clone(args[1:]), "--help"))
	}
	var unknown error
	root.SetHelpFunc(func(c *cobra.Command, _ []string) {
		if rest := c.Flags().Args(); len(rest) > 0 && c.HasSubCommands() {
			unknown = noCommand(c, rest[0])
			return
		}
		PrintHelp(c.OutOrStdout(), c, helpWidth(c.OutOrStdout()))
	})
	if err := root.ExecuteContext(ctx); err != nil {
		return err
	}
	return unknown
}

func noCommand(c *cobra.Command, name string) error {
	return core.Errorf(core.KindInvalid, "%s has no command %q", c.CommandPath(), name).WithNext("`%s --help` lists them", c.CommandPath())
}

// redacting is a stream of the process that no secret leaves by. It stays a file
// to code that asks whether it is a terminal.
type redacting struct {
	*os.File
	ascii  bool                   // a terminal whose locale has no UTF-8
	failed *atomic.Pointer[error] // the first error of a write, for callers that ignore it
}

func newStream(f *os.File) redacting {
	return redacting{f, term.IsTerminal(f.Fd()) && !core.IsUTF8Locale(os.Environ()), new(atomic.Pointer[error])}
}

// Write removes everything that looks like a secret. It checks each call's text on its own.
func (r redacting) Write(text []byte) (int, error) {
	shown := core.Redact(string(text))
	if r.ascii {
		shown = core.ASCIIText(shown)
	}
	if _, err := r.File.WriteString(shown); err != nil {
		err = outputError(err)
		r.failed.CompareAndSwap(nil, &err)
		return 0, err
	}
	return len(text), nil
}

// WriteString is Write; os.File has one of its own.
func (r redacting) WriteString(text string) (int, error) { return r.Write([]byte(text)) }

// ReadFrom copies through Write; os.File's own would pass it by.
func (r redacting) ReadFrom(from io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{r}, from)
}

// FlagError words a mistake in the flags without what could be a password: -pSECRET is
// read as a group of short flags, and pflag repeats all of it.
func FlagError(err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "" {
		return core.Errorf(core.KindInvalid, "unknown shorthand flag: %q", unknown.GetSpecifiedName())
	}
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) && flagValueHint(bad.GetFlag()) != "" {
		return core.Errorf(core.KindInvalid, "--%s: %q is not %s", bad.GetFlag().Name, bad.GetValue(), flagValueHint(bad.GetFlag()))
	}
	return err
}

// flagValueHint describes a flag's value, "" for a flag whose error does so. pflag would name Go's
// parser.
func flagValueHint(f *pflag.Flag) string {
	return map[string]string{"bool": "true or false", "int": "a whole number", "duration": "a duration, for example 10m"}[f.Value.Type()]
}

// Coded wraps an error of a command whose exit codes are its own, as those of `unibus-tui status` are.
type Coded struct {
	Code int
	Err  error
}

// Error returns the text of the error inside.
func (c Coded) Error() string { return c.Err.Error() }

// Unwrap returns the error inside, which is printed.
func (c Coded) Unwrap() error { return c.Err }

// Silent wraps an error whose text was already printed; it only sets the exit code.
type Silent struct{ Err error }

// Error returns the text of the error inside.
func (s Silent) Error() string { return s.Err.Error() }

// Unwrap returns the error inside, so that its kind sets the exit code.
func (s Silent) Unwrap() error { return s.Err }

// usage turns cobra's own errors (an unknown command, a wrong number of arguments) into
// KindInvalid. Errors of our commands and of the process's streams have a kind already.
func usage(root *cobra.Command, err error) error {
	var known *core.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return core.Errorf(core.KindInvalid, "%w", err).WithNext("`%s --help` shows what there is", root.Name())
}

// printError prints an error once. Where the JSON document cannot be written either, it is text.
func printError(root *cobra.Command, err error, asJSON bool) {
	if err == nil || errors.As(err, new(Silent)) {
		return
	}
	e := core.AsError(err)
	if asJSON && PrintJSON(root.OutOrStdout(), map[string]any{"error": e}) == nil {
		return
	}
	w := root.ErrOrStderr()
	_, _ = lipgloss.Fprintf(w, "%s: %s\n", root.Name(), e.Text)
	if e.Next != "" {
		_, _ = lipgloss.Fprintf(w, "  %s\n", e.Next)
	}
}

// PrintJSON writes one document, indented.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return outputError(enc.Encode(v))
}

// outputError says that the output could not be written: a full disk is no wrong usage.
func outputError(err error) error {
	if err == nil || errors.As(err, new(*core.Error)) {
		return err
	}
	return core.Errorf(core.KindFailed, "the output cannot be written: %w", err)
}

// Args checks the number of arguments and names them in the error.
func Args(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return missing(c)
		}
		want := "no arguments"
		if len(names) > 0 {
			want = fmt.Sprint(names)
		}
		return core.Errorf(core.KindInvalid, "%s takes %s, not %d arguments", c.CommandPath(), want, len(args)).
			WithNext("`%s --help` shows the form", c.CommandPath())
	}
}

// Require marks flags without which a command cannot run. Args refuses it without them.
func Require(c *cobra.Command, names ...string) {
	for _, name := range names {
		_ = c.MarkFlagRequired(name) // fails only for a flag that does not exist, which the next line would show
		c.Flags().Lookup(name).Usage += " (required)"
	}
}

// missing names the required flags that were not given, or were given without a value.
func missing(c *cobra.Command) error {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if v := f.Value.String(); f.Annotations[cobra.BashCompOneRequiredFlag] != nil && (!f.Changed || v == "" || v == "[]") {
			names = append(names, "--"+f.Name)
		}
	})
	if len(names) == 0 {
		return nil
	}
	verb := "is missing"
	if len(names) > 1 {
		verb = "are missing"
	}
	example, _, _ := strings.Cut(strings.TrimSpace(c.Example), "\n")
	return core.Errorf(core.KindInvalid, "%s: %s %s", c.CommandPath(), strings.Join(names, " and "), verb).WithNext("for example: %s", example)
}

// Group makes a command that only holds others; without one of them it is wrong usage.
func Group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true}, Args: func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return core.Errorf(core.KindInvalid, "%s needs a command", c.CommandPath()).WithNext("`%s --help` lists them", c.CommandPath())
		}
		return noCommand(c, args[0])
	}, RunE: func(*cobra.Command, []string) error { return nil }}
	c.AddCommand(subs...)
	return c
}
