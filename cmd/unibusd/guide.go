package main

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/doctor"
	"unibus/core/guide"
)

// The exit codes of a guide beside 0, which says that everything is done.
const (
	exitNextStep      = 5
	exitNotApplicable = 6
	exitUnsafe        = 7
)

// guideFlags are what `guide` takes beside the connection.
type guideFlags struct {
	network
	wait  bool
	since string
	oldCA []string
}

func guideCommand() *cobra.Command {
	var g guideFlags
	c := &cobra.Command{
		Use: "guide [NAME [NODE...]]", Short: "List the guides, or fill one in: exit 0 done, 5 a step is next, 6 not applicable, 7 unsafe",
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return g.list(c)
			}
			return g.run(c.Context(), c, args)
		},
	}
	g.flags(c)
	c.Flags().BoolVar(&g.wait, "wait", false, "go on until everything is done, and say what is next whenever that changes")
	c.Flags().StringVar(&g.since, "since", "", "restart: TIME at which this round began (default: now)")
	c.Flags().StringSliceVar(&g.oldCA, "old-ca", nil, "certificates: IDs of the CAs that this round replaces (default: those in use now)")
	return c
}

func (g *guideFlags) list(c *cobra.Command) error {
	return g.print(c, map[string]any{"guides": guide.All()}, func() {
		table(c, "GUIDE\tFOR", func(print func(string, ...any)) {
			for _, x := range guide.All() {
				print("%s\t%s", strings.Join(append([]string{x.Name}, x.Args...), " "), x.Short)
			}
		})
	})
}

func (g *guideFlags) run(ctx context.Context, c *cobra.Command, args []string) error {
	of, named, err := guide.Parse(args)
	if err != nil {
		return err
	}
	since, err := g.parseSince()
	if err != nil {
		return err
	}
	if err := g.checkOldCA(of); err != nil {
		return err
	}
	cl, err := g.Dial(ctx, "unibusd guide")
	if err != nil {
		return err
	}
	defer cl.Close()
	f := filler{cl: cl, guide: of, args: named, since: since, oldCAs: g.oldCA, name: g.withConnectionFlags}
	report, err := f.fill(ctx)
	if g.wait {
		report, err = f.await(ctx, report, err, c.PrintErrln)
	}
	if err != nil {
		return err
	}
	if err := g.print(c, report, func() { guideText(c, report) }); err != nil {
		return err
	}
	return outcomeError(report)
}

func (g *guideFlags) parseSince() (core.Millis, error) {
	if g.since == "" {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339, g.since)
	if err != nil {
		return 0, core.Errorf(core.KindInvalid, "--since %q is not a time", g.since).WithNext("give the time that the guide printed, such as --since 2026-11-28T08:30:00Z")
	}
	return core.MillisOf(at), nil
}

// checkOldCA refuses what is no ID: every CA in use would count as a new one.
func (g *guideFlags) checkOldCA(of guide.Guide) error {
	if len(g.oldCA) > 0 && of.Name != "certificates" {
		return core.Errorf(core.KindInvalid, "--old-ca is for the guide certificates alone").WithNext("leave it out")
	}
	for _, id := range g.oldCA {
		if key, err := hex.DecodeString(id); err != nil || len(key) < 4 {
			return core.Errorf(core.KindInvalid, "--old-ca %q is not the ID of a CA", id).WithNext("copy the command that the guide printed: unibusd guide certificates")
		}
	}
	return nil
}

// withConnectionFlags adds the flags of this connection to a command of ours that needs them.
func (g *guideFlags) withConnectionFlags(line string) string {
	words := strings.Fields(line)
	c, _, err := root().Find(words[1:])
	if words[0] != "unibusd" && words[0] != "unibus-tui" || words[0] == "unibusd" && (err != nil || c.Flags().Lookup("server") == nil) {
		return line
	}
	return strings.TrimSpace(line + " " + g.CommandFlags())
}

// outcomeError is the exit code of a guide that has been printed.
func outcomeError(r guide.Report) error {
	silent := cli.Silent{Err: errors.New(r.Text)}
	switch r.Outcome {
	case guide.HasNext:
		return cli.Coded{Code: exitNextStep, Err: silent}
	case guide.NotApplicable:
		return cli.Coded{Code: exitNotApplicable, Err: silent}
	case guide.IsUnsafe:
		return cli.Coded{Code: exitUnsafe, Err: silent}
	}
	return nil
}

// filler fills a guide in from what a cluster answers.
type filler struct {
	cl    *admin.Client
	guide guide.Guide
	args  []string
	since core.Millis // 0: from the first answer on
	name  func(line string) string

	proof  guide.Proof // that every replica holds the same rows
	oldCAs []string    // nil: those of the first answer
}

func (f *filler) fill(ctx context.Context) (guide.Report, error) {
	st, err := f.cl.Status(ctx)
	if err != nil {
		return guide.Report{}, err
	}
	if f.since == 0 {
		f.since = (st.At + 999) / 1000 * 1000 // as it is printed, in seconds
	}
	facts := guide.Facts{View: st.View, Judgment: st.Judgment, Since: f.since, Args: f.args, OldCAs: f.oldCAs, Trusted: f.cl.TrustedCAs()}
	if key := f.guide.NeedsUserKey(f.args); key != "" {
		facts.UserKey = guide.UserKeyOf(f.cl.UserKey(ctx, key))
	}
	if f.proof.Holds(st.View, time.Now()) {
		facts.Proof = f.proof.Checks
	}
	report := f.guide.Fill(facts)
	if report.NeedsProof {
		if facts.Proof, err = f.compare(ctx, st); err != nil {
			return guide.Report{}, err
		}
		report = f.guide.Fill(facts)
	}
	if report.NeedsRun != "" {
		facts.Runs = map[string]string{report.NeedsRun: f.runOf(ctx, st, report.NeedsRun)}
		report = f.guide.Fill(facts)
	}
	f.oldCAs = report.OldCAs
	for i := range report.Steps {
		for j, line := range report.Steps[i].Type {
			report.Steps[i].Type[j] = f.name(line)
		}
	}
	if report.Resume != "" {
		report.Resume = f.name(report.Resume)
	}
	return report, nil
}

// runQueryTimeout bounds the question to a node that may have been stopped. One that is just
// starting may answer late: without its answer it would be restarted twice.
const runQueryTimeout = 5 * time.Second

// runOf asks a node itself which run it is; "" where it does not answer.
func (f *filler) runOf(ctx context.Context, st admin.Status, name string) string {
	ctx, cancel := context.WithTimeout(ctx, runQueryTimeout)
	defer cancel()
	own, err := f.cl.StatusOf(ctx, name)
	return guide.OwnRun(name, guide.KnownRun(name, st.View), own.View, err)
}

// compare has a node compare the replicas. Another comparison that runs is waited for.
func (f *filler) compare(ctx context.Context, st admin.Status) ([]doctor.Check, error) {
	checked, err := f.cl.Doctor(ctx, admin.DoctorRequest{ReplicasOnly: true})
	switch {
	case core.KindOf(err) == core.KindUnavailable:
		return []doctor.Check{{Name: "replicas", State: doctor.Unknown, Text: core.AsError(err).Text}}, nil
	case err != nil:
		return nil, err
	}
	f.proof = guide.Proof{Checks: checked.Checks, Runs: guide.RunsOf(st.View), At: time.Now()}
	return f.proof.Checks, nil
}

// await fills the guide in again until it is done, unsafe or not applicable, or ctx ends.
// A node that does not answer is waited for: it may be the one that is being restarted.
func (f *filler) await(ctx context.Context, r guide.Report, err error, say func(...any)) (guide.Report, error) {
	said := ""
	for ; ; r, err = f.fill(ctx) {
		switch {
		case err != nil && core.KindOf(err) != core.KindUnavailable || ctx.Err() != nil && err != nil:
			return r, err
		case err == nil && r.Outcome != guide.HasNext:
			return r, nil
		}
		text := "Wait: no node answers."
		if err == nil {
			text = nextText(r)
		}
		if text != said {
			said = text
			say(text)
		}
		select {
		case <-ctx.Done():
			return r, err
		case <-time.After(time.Second):
		}
	}
}

// nextText is the outcome with what is to be typed.
func nextText(r guide.Report) string {
	for _, s := range r.Steps {
		if s.State == guide.Next || s.State == guide.Waiting {
			return strings.Join(append([]string{r.Text + doText(s)}, s.Type...), "\n    ")
		}
	}
	return r.Text
}

func doText(s guide.Step) string {
	if s.Do == "" {
		return ""
	}
	return "\n  " + strings.ToUpper(s.Do[:1]) + s.Do[1:]
}

func guideText(c *cobra.Command, r guide.Report) {
	marks := map[guide.State]string{guide.Done: "[x]", guide.Next: "[>]", guide.Waiting: "[~]", guide.Later: "[ ]", guide.Unsafe: "[!]"}
	for _, s := range r.Steps {
		c.Printf("%s %s\n", marks[s.State], s.Title)
		if s.Seen != "" {
			c.Printf("    %s\n", s.Seen)
		}
		if s.State == guide.Done || s.State == guide.Later {
			continue
		}
		c.Printf("    Why: %s.\n", s.Why)
		if s.Do != "" {
			c.Printf("    Do: %s\n", s.Do)
		}
		for _, line := range s.Type {
			c.Printf("        %s\n", line)
		}
	}
	c.Println("\n" + r.Text)
	if r.Resume != "" && r.Outcome == guide.HasNext {
		c.Printf("To go on with this round:\n    %s\n", r.Resume)
	}
}
