package audit

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

func shown(records []Record) (out []string) {
	for _, r := range records {
		out = append(out, r.Actor()+" "+r.Verb+" "+r.Outcome+" "+string(r.Effect))
	}
	return out
}

func read(t *testing.T, files ...string) FileRecords {
	t.Helper()
	got, err := ReadFiles(files...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestFilesAreReadAsPagesAre: without a node, a file shows what its node showed, in a cluster
// and alone: every outcome, and a user-admin as one.
func TestFilesAreReadAsPagesAre(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, l *Log) {
		var now atomic.Int64 // the tests' clock stands
		now.Store(1000)
		l.cfg.Now = func() core.Millis { return core.Millis(now.Add(1000)) }
		name := "ana" // an operator's
		chief := UserAdmin(core.User{ID: "UABCDEFGHIJKLMNOP", Name: &name, Role: core.RoleAdmin})
		l.End(t.Context(), begin(t, l, "first"), nil)
		for _, result := range []error{nil, core.Errorf(core.KindUnavailable, "no").WithOutcome(core.OutcomeNone), errors.New("broke")} {
			a, err := l.Begin(t.Context(), Intent{By: chief, Verb: "user-revoke", Args: "id=UB"})
			if err != nil {
				t.Fatal(err)
			}
			l.End(t.Context(), a, result)
		}
		begin(t, l, "last")
		want := []string{
			"ana last unknown ", "user-admin UABC…MNOP ana user-revoke failed ", "user-admin UABC…MNOP ana user-revoke unavailable none",
			"user-admin UABC…MNOP ana user-revoke ok ", "ana first ok ",
		}
		if d := cmp.Diff(want, shown(page(t, l, Query{Limit: 10}).Records)); d != "" {
			t.Errorf("the page:\n%s", d)
		}
		wait(t, func() bool { return l.stream == nil || l.file.state().end.seq >= 9 })
		got := read(t, l.cfg.File, l.cfg.File)
		if d := cmp.Diff(want, shown(got.Records)); d != "" || got.Cut || got.Damaged != 0 {
			t.Errorf("the file, %+v:\n%s", got, d)
		}
		v := verifier("")
		if err := v.VerifyFile(l.cfg.File); err != nil || len(v.Report().Faults) > 0 {
			t.Errorf("%+v, %v", v.Report(), err)
		}
	})
}

// TestFilesOfNodesAreOneAudit: an action that a node could not add to the stream is in its
// own file alone, and counts. A file that begins later says so, unless another one has the
// beginning.
func TestFilesOfNodesAreOneAudit(t *testing.T) {
	t.Parallel()
	at := func(id, verb string, ms core.Millis) entry {
		return entry{V: entryVersion, ID: id, Phase: phaseIntent, At: ms, Node: "n1", Name: "ana", Verb: verb}
	}
	ended := func(id string) entry {
		return entry{V: entryVersion, ID: id, Phase: phaseOutcome, Node: "n1", Kind: OutcomeOK}
	}
	put := func(lines ...[]byte) string {
		file := path(t)
		var text []byte
		for _, l := range lines {
			text = append(append(text, l...), '\n')
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	record := func(seq uint64, e entry) []byte { return encodeCopied(copied{Seq: seq, Record: e.encode()}) }
	begins := encodeCopied(copied{Mark: markStream, Created: "c", At: 1})
	whole := put(begins, record(1, at("a", "one", 10)), record(2, ended("a")), record(3, at("b", "two", 20)))
	alone := put(at("c", "alone", 15).encode(), ended("c").encode(), begins, record(1, at("a", "one", 10)), ended("b").encode(), []byte("{cut"))
	later := put(encodeCopied(copied{Mark: markRotated, Created: "c", Seq: 2, Hash: noRecord}), record(3, at("b", "two", 20)))

	for name, c := range map[string]struct {
		files   []string
		want    []string
		damaged int
		cut     bool
	}{
		"whole":          {[]string{whole}, []string{"ana two unknown ", "ana one ok "}, 0, false},
		"two":            {[]string{whole, alone}, []string{"ana two ok ", "ana alone ok ", "ana one ok "}, 1, false},
		"it is rotated":  {[]string{later}, []string{"ana two unknown "}, 0, true},
		"one before has": {[]string{whole, later}, []string{"ana two unknown ", "ana one ok "}, 0, false},
		"another has":    {[]string{later, whole}, []string{"ana two unknown ", "ana one ok "}, 0, false},
	} {
		got := read(t, c.files...)
		if d := cmp.Diff(c.want, shown(got.Records)); d != "" || got.Damaged != c.damaged || got.Cut != c.cut {
			t.Errorf("%s: %d damaged, cut %v\n%s", name, got.Damaged, got.Cut, d)
		}
	}
	if err := os.Rename(whole, later+".1"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, later); len(got.Records) != 2 || got.Cut {
		t.Errorf("with the older file: %+v", got)
	}
	for name, file := range map[string]string{"missing": whole, "empty": put(), "of something else": put([]byte("hello"))} {
		if _, err := ReadFiles(file); core.KindOf(err) != core.KindInvalid || !strings.Contains(core.AsError(err).Next, "--file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFilesSayWhatTheirSequencesCountIn: records of two sources have no order. A stream that was
// created anew begins at 1, and one that has lost its end gives its last numbers again.
func TestFilesSayWhatTheirSequencesCountIn(t *testing.T) {
	t.Parallel()
	intent := func(id string) entry {
		return entry{V: entryVersion, ID: id, Phase: phaseIntent, At: 10, Node: "n1", Name: "ana", Verb: "one"}
	}
	record := func(seq uint64, id string) []byte {
		return encodeCopied(copied{Seq: seq, Record: intent(id).encode()})
	}
	put := func(lines ...[]byte) string {
		file := path(t)
		if err := os.WriteFile(file, append(bytes.Join(lines, []byte("\n")), '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	stream := func(created string) []byte { return encodeCopied(copied{Mark: markStream, Created: created, At: 1}) }
	gap := encodeCopied(copied{Mark: markGap, Seq: 1, At: 1})
	for name, c := range map[string]struct {
		files []string
		want  string // records that have one source, in groups
	}{
		"one stream in two files":       {[]string{put(stream("c"), record(1, "a")), put(stream("c"), record(1, "a"), record(2, "b"))}, "ab"},
		"a rotated file":                {[]string{put(stream("c"), record(1, "a")), put(encodeCopied(copied{Mark: markRotated, Created: "c", Seq: 1, Hash: noRecord}), record(2, "b"))}, "ab"},
		"created anew":                  {[]string{put(stream("c"), record(1, "a"), stream("d"), record(1, "b"))}, "a b"},
		"a node alone":                  {[]string{put(intent("a").encode(), intent("b").encode())}, "ab"},
		"an entry of the file's own":    {[]string{put(stream("c"), record(1, "a"), intent("b").encode())}, "a b"},
		"entries of two nodes":          {[]string{put(intent("a").encode()), put(intent("b").encode())}, "a b"},
		"its end was lost":              {[]string{put(stream("c"), record(1, "a"), record(2, "b"), record(3, "d"), gap, record(2, "e"), record(3, "f"))}, "a b d e f"},
		"another node has the lost end": {[]string{put(stream("c"), record(1, "a"), record(2, "b"), record(3, "d")), put(stream("c"), record(1, "a"), record(2, "e"))}, "a b d e"},
	} {
		groups := map[string][]string{}
		for _, r := range read(t, c.files...).Records {
			groups[r.Source] = append(groups[r.Source], r.ID)
		}
		var got []string
		for _, ids := range groups {
			slices.Sort(ids)
			got = append(got, strings.Join(ids, ""))
		}
		slices.Sort(got)
		if d := cmp.Diff(c.want, strings.Join(got, " ")); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

// TestArguments reads what core.SummaryWord wrote, whatever is in it.
func TestArguments(t *testing.T) {
	t.Parallel()
	for args, want := range map[string][]Argument{
		"":                             nil,
		"id=UB":                        {{"id", "UB", "id=UB"}},
		`id=UB name="a = \"b\" id=UC"`: {{"id", "UB", "id=UB"}, {"name", `a = "b" id=UC`, `name="a = \"b\" id=UC"`}},
		"a request":                    {{Text: "a request"}},
		`name="cut… x=y`:               {{"name", `"cut…`, `name="cut…`}, {"x", "y", "x=y"}},
	} {
		if d := cmp.Diff(want, Arguments(args)); d != "" {
			t.Errorf("%s:\n%s", args, d)
		}
	}
	if got := (Record{Args: "id=UB name=\"" + strings.Repeat("x", 90) + " id=UC"}).Argument("id"); got != "UB" {
		t.Errorf("the first one is %s", got)
	}
}

// TestUserAdminIsNamedInFaults as one, so that nobody takes a user's name for an operator's.
func TestUserAdminIsNamedInFaults(t *testing.T) {
	t.Parallel()
	p := Place{Seq: 7, At: 1000, Node: "n1", Key: "UABCDEFGHIJKLMNOP", Name: "ana\x1b", Verb: "user-revoke", Role: RoleUserAdmin}
	if got := p.String(); got != "record 7 (1970-01-01 00:00:01 UTC, user-admin UABC…MNOP ana\uFFFD, verb user-revoke, on n1)" {
		t.Error(got)
	}
	seed := "SUAIBDPBAUTWCWBKIO6XHQNINK5FWJW4OHLXC3HQ2KFE4PEJUA44CNHTC4"
	if by := UserAdmin(core.User{ID: "U", Name: &seed}); strings.Contains(by.Name, seed) {
		t.Errorf("a name that is a seed is kept: %s", by.Name)
	}
}
