package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/auth"
)

// importWriters are how many users are added at the same time.
const importWriters = 8

func userImportCommand() *cobra.Command {
	var t userTarget
	dryRun := false
	c := t.add(&cobra.Command{
		Use: "import FILE.csv", Short: "Add the users of a CSV file who are missing, or none of them if a row is wrong", Args: cli.Args("FILE.csv"),
		RunE: func(c *cobra.Command, args []string) error {
			rows, err := readUserFile(args[0], c.InOrStdin())
			if err != nil {
				return err
			}
			plan, err := t.plan(c.Context(), args[0], rows)
			if err != nil {
				return err
			}
			if dryRun {
				return t.print(c, plan.document(true), func() { printPlan(c, plan) })
			}
			us, end, err := t.open(c.Context(), true)
			if err != nil {
				return err
			}
			defer end()
			told, over := importProgress(c.ErrOrStderr(), len(plan.Add), term.IsTerminal(os.Stderr.Fd()))
			added, err := importAll(c.Context(), us, plan.Add, newImportPace(t.db == ""), told)
			over()
			if err != nil {
				return core.Errorf(core.KindOf(err), "%d of %d users were added; then: %w", added, len(plan.Add), err).WithOutcome(core.OutcomeOf(err)).
					WithNext("run it again: those who are there already are passed over")
			}
			return t.print(c, plan.document(false), func() {
				c.Printf("Added %d users. %s\n", added, plan.remainderText())
			})
		},
	})
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be added, and add nothing")
	return c
}

// plan compares rows with a cluster or a file. A file that is not there has no users, and is
// not made before every row is known to be right.
func (t *userTarget) plan(ctx context.Context, file string, rows []userRow) (importPlan, error) {
	if _, err := os.Stat(t.db); t.db != "" && errors.Is(err, fs.ErrNotExist) && !t.Given() {
		return planImport(file, rows, nil)
	}
	us, end, err := t.open(ctx, false)
	if err != nil {
		return importPlan{}, err
	}
	defer end()
	all, err := admin.AllUsers(ctx, us.UserPage)
	if err != nil {
		return importPlan{}, err
	}
	return planImport(file, rows, all)
}

// readUserFile reads a file, or the input for "-".
func readUserFile(path string, input io.Reader) ([]userRow, error) {
	if path == "-" {
		return readUsers("-", input, time.Now())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "%s cannot be read: %w", path, err).WithNext("see that it is there and yours")
	}
	defer func() { _ = f.Close() }()
	return readUsers(path, f, time.Now())
}

// importPlan is what an import does, or has done.
type importPlan struct {
	Add     []core.User `json:"-"`       // who are missing
	There   int         `json:"there"`   // who are there as the file says
	Skipped int         `json:"skipped"` // who are missing, and who may not connect as the file says
}

// document is the plan as JSON: of a user who is added only what the file says.
func (p importPlan) document(dryRun bool) map[string]any {
	type row struct {
		ID      core.UserID   `json:"id"`
		Name    *string       `json:"name,omitempty"`
		Role    core.UserRole `json:"role"`
		Expires core.Millis   `json:"expires,omitempty"`
	}
	rows := make([]row, len(p.Add))
	for i, u := range p.Add {
		rows[i] = row{u.ID, u.Name, u.Role, u.Expires}
	}
	return map[string]any{"add": rows, "there": p.There, "skipped": p.Skipped, "dry_run": dryRun}
}

func (p importPlan) remainderText() string {
	text := fmt.Sprintf("%d were there already.", p.There)
	if p.Skipped > 0 {
		text += fmt.Sprintf(" %d are revoked or expired in the file and missing here: they were not added, because a user who is missing is denied, too.", p.Skipped)
	}
	return text
}

// planImport compares the rows with the users there are. A user who is there otherwise is a
// conflict: an import changes nobody. KindConflict names each by its line.
func planImport(file string, rows []userRow, all []core.User) (importPlan, error) {
	plan := importPlan{Add: []core.User{}}
	there := map[core.UserID]core.User{}
	for _, u := range all {
		there[u.ID] = u
	}
	faults := &rowFaults{file: file}
	for _, row := range rows {
		u, known := there[row.user.ID]
		switch {
		case known:
			if why := differs(u, row); why != "" {
				faults.add(row.line, "%s is there with %s", u.ID, why)
			}
			plan.There++
		case row.status == core.UserRevoked || row.status == core.UserExpired:
			plan.Skipped++
		default:
			if row.user.Name != nil {
				if err := core.CheckName(*row.user.Name); err != nil {
					faults.add(row.line, "%v", err)
				}
			}
			plan.Add = append(plan.Add, row.user)
		}
	}
	if err := faults.err(); err != nil {
		e := core.AsError(err)
		return plan, core.Errorf(core.KindConflict, "%s", e.Text).WithNext("an import adds users and changes none: remove these rows, or change each user by itself: unibusd user --help")
	}
	return plan, nil
}

// differs says in what a user differs from a row; "" where it is the same. A status that the
// file does not have is any.
func differs(u core.User, row userRow) string {
	name := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	status := u.StatusAt(core.MillisOf(time.Now()))
	switch {
	case name(u.Name) != name(row.user.Name):
		return "the name " + core.QuoteText(name(u.Name))
	case u.Role != row.user.Role:
		return "the role " + string(u.Role)
	case u.Expires != row.user.Expires:
		return "the end " + endText(u.Expires)
	case row.status != "" && row.status != status && (row.status == core.UserRevoked) != (status == core.UserRevoked):
		return "the status " + string(status)
	}
	return ""
}

func printPlan(c *cobra.Command, p importPlan) {
	for _, u := range p.Add {
		c.Printf("would add %s  %s  %s  %s\n", u.ID, text(u.Name), u.Role, statusText(core.User{Status: core.UserActive, Expires: u.Expires}, time.Now()))
	}
	c.Printf("%s would be added. %s Nothing was changed.\n", counted(len(p.Add), "user", "users"), p.remainderText())
}

// importPace keeps an import below what one key may ask of a cluster: some at once, and then so many
// a second. nil: no limit.
type importPace struct{ tokens chan struct{} }

const (
	paceBurst = auth.MaxRequestsOfKey / 10
	paceEvery = auth.NonceLife / (auth.MaxRequestsOfKey * 8 / 10)
)

func newImportPace(limited bool) *importPace {
	if !limited {
		return nil
	}
	p := &importPace{make(chan struct{}, paceBurst)}
	for range paceBurst {
		p.tokens <- struct{}{}
	}
	return p
}

// run adds tokens until ctx ends.
func (p *importPace) run(ctx context.Context) {
	if p == nil {
		return
	}
	tick := time.NewTicker(paceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case p.tokens <- struct{}{}:
		default:
		}
	}
}

func (p *importPace) wait(ctx context.Context) error {
	if p == nil {
		return ctx.Err()
	}
	select {
	case <-p.tokens:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// importAll adds users until one fails, and returns how many were added.
func importAll(ctx context.Context, us users, add []core.User, pace *importPace, told func(int)) (added int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	next := make(chan core.User)
	var mu sync.Mutex
	var all, pacing sync.WaitGroup
	pacing.Go(func() { pace.run(ctx) })
	for range importWriters {
		all.Go(func() {
			for u := range next {
				if err := addUser(ctx, us, u, pace); err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				added++
				told(added)
				mu.Unlock()
			}
		})
	}
	for _, u := range add {
		select {
		case next <- u:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	all.Wait()
	err = context.Cause(ctx)
	cancel(nil)
	pacing.Wait()
	if err != nil && core.KindOf(err) == core.KindFailed && added < len(add) {
		err = core.Errorf(core.KindFailed, "stopped: %w", err)
	}
	return added, err
}

// addUser adds one. A user who came meanwhile exactly as the file says counts as added.
func addUser(ctx context.Context, us users, u core.User, pace *importPace) error {
	if err := pace.wait(ctx); err != nil {
		return err
	}
	_, err := us.UserAdd(ctx, u)
	if core.KindOf(err) != core.KindExists {
		return err
	}
	there, e := us.UserSeen(ctx, string(u.ID))
	if e == nil && there.IsAddedAs(u) {
		return nil
	}
	return err
}

// importProgress keeps one line on a terminal up to date.
func importProgress(w io.Writer, total int, terminal bool) (told func(int), over func()) {
	if !terminal {
		return func(int) {}, func() {}
	}
	return func(n int) { _, _ = fmt.Fprintf(w, "\r\x1b[K%d of %d users added", n, total) }, func() { _, _ = fmt.Fprint(w, "\r\x1b[K") }
}
