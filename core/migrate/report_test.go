package migrate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
)

// at is a moment in these tests, in seconds.
func at(s int64) core.Millis { return core.Millis(1_795_348_800_000 + s*1000) }

func rolledBackStatus() Status {
	same := core.Digest{Count: 2, SHA256: "aa"}
	return Status{
		ID: "m1", State: StateRolledBack, Node: "n1", By: "ana", Started: at(0), Updated: at(100), Since: at(100), ComparedAt: at(14),
		Options: Options{Replicas: 3, Rate: 500, IgnoredNodes: []string{"n2"}}, EstimateMS: 9000,
		Source: SourceFile{Path: "/d/unibus.db", Bytes: 100, Schema: 1},
		Backup: Backup{Path: "/d/backup.db", SHA256: "b1", Bytes: 90}, Export: Backup{Path: "/d/export.db", SHA256: "e1", Bytes: 95},
		History: []StateTransition{
			{StatePreflight, at(0)},
			{StateBackup, at(1)},
			{StateCopy, at(3)},
			{StateVerify, at(13)},
			{StateFence, at(20)},
			{StateVerify, at(50)},
			{StateFence, at(60)},
			{StateCutover, at(61)},
			{StateSoak, at(62)},
			{StateRollback, at(90)},
			{StateRolledBack, at(100)},
		},
		Divergences: []Divergence{
			{Node: "n2", File: "/e/unibus.db", Ignored: true, Tables: []TableDivergence{{Table: core.TableUsers, OnlyHere: 3, OnlyThere: 1, Keys: []string{"there/UX"}}, {Table: core.TableRooms}}},
			{Node: "n3", File: "/f/unibus.db", Tables: []TableDivergence{{Table: core.TableUsers}}},
		},
		Buckets:  []Parity{{Name: "UNIBUS_users", Source: same, Nodes: map[string]core.Digest{"n1": same, "n3": {Count: 1}}, Missing: []string{"n3/UB"}, Changed: 7}},
		Problems: []core.Problem{{Table: core.TableUsers, Key: "UA", Text: "the role is not known", Next: "set it"}},
		Result:   "Back in SQLite.",
	}
}

func TestTimelineListsEveryState(t *testing.T) {
	t.Parallel()
	back := rolledBackStatus()
	gone := Status{State: StateAborted, History: []StateTransition{{StatePreflight, at(0)}, {StateBackup, at(1)}, {StateCopy, at(3)}, {StateAborted, at(9)}}}
	now := Status{State: StateCopy, Since: at(3), History: []StateTransition{{StatePreflight, at(0)}, {StateCopy, at(3)}}}
	for name, c := range map[string]struct {
		st   Status
		want string
	}{
		"rolled back": {back, "preflight 1s, backup 2s, copy 10s, verify 17s, fence 31s, cutover 1s, soak 28s, rollback 10s, rolledback 0s*"},
		"aborted":     {gone, "preflight 1s, backup 2s, copy 6s, aborted 0s*"},
		"in copy":     {now, "preflight 3s, backup -, copy 197s*, verify -, fence -, cutover -, soak -, done -"},
		"old record":  {Status{State: StateSoak, Since: at(190)}, "preflight -, backup -, copy -, verify -, fence -, cutover -, soak 10s*, done -"},
	} {
		var got []string
		for _, s := range c.st.Timeline(at(200)) {
			text := string(s.State) + " -"
			if s.Visits > 0 {
				text = string(s.State) + " " + s.Duration().String()
				if s.Duration() >= time.Minute {
					text = string(s.State) + " 197s"
				}
			}
			if s.Current {
				text += "*"
			}
			got = append(got, text)
		}
		if d := cmp.Diff(c.want, strings.Join(got, ", ")); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	if got := back.Timeline(at(200))[4]; got.Visits != 2 || got.Entered != at(60) {
		t.Errorf("the fence was entered twice, the last time at 60 s: %+v", got)
	}
}

func TestWorkDurationExcludesTheWaitForTheOperator(t *testing.T) {
	t.Parallel()
	if got := rolledBackStatus().WorkDuration(); got != 13*time.Second {
		t.Errorf("backup, copy and verify took %s, want 13s", got)
	}
	if got := (Status{State: StateCopy, History: []StateTransition{{StateBackup, at(1)}}}).WorkDuration(); got != 0 {
		t.Errorf("nothing was compared yet, and it took %s", got)
	}
}

func TestReportHasEverything(t *testing.T) {
	t.Parallel()
	text := strings.Join(strings.Fields(rolledBackStatus().Report(at(200).Time())), " ")
	for _, want := range []string{
		"state rolledback", "m1, started 2026-11-22", "by ana on n1", "/d/backup.db, 90 bytes sha256 b1", "export /d/export.db, 95 bytes sha256 e1",
		"3 replicas, at most 500 rows a second, backup kept, ignored: the files of n2",
		"estimate 9.0 s for backup, copy and verify; real: 13.0 s",
		"UTC copy 10.0 s", "UTC - equal after 1.0 s", "UTC rollback 10.0 s", "UTC rolledback",
		"users UA: the role is not known do: set it",
		"the SQLite file of n2, /e/unibus.db: ignored, as the operator chose", "users 3 only on n1, 1 only on n2, 0 different there/UX",
		"the SQLite file of n3, /f/unibus.db: holds the same rows",
		"n3 1 differs", "changed 7 between verify and fence", "missing n3/UB",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, rolledBackStatus().Report(at(200).Time()))
		}
	}
	if strings.Contains(text, "so far") {
		t.Error("a move that is over still lasts")
	}
	if text := (Status{State: StateNone}).Report(at(0).Time()); !strings.Contains(text, "No migration was ever started") || strings.Contains(text, "options") {
		t.Errorf("the report of no move:\n%s", text)
	}
}

func TestAReportIsSavedOnceAndForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	txt, doc := filepath.Join(dir, "r.txt"), filepath.Join(dir, "r.json")
	for file, asJSON := range map[string]bool{txt: false, doc: true} {
		if err := rolledBackStatus().SaveReport(file, asJSON, at(200).Time()); err != nil {
			t.Fatal(err)
		}
		if err := rolledBackStatus().SaveReport(file, asJSON, at(200).Time()); core.KindOf(err) != core.KindExists {
			t.Errorf("written over %s: %v", file, err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", file, info.Mode(), err)
		}
	}
	var got ReportDocument
	body, err := os.ReadFile(doc)
	if err == nil {
		err = json.Unmarshal(body, &got)
	}
	if err != nil || got.TookMS != 13000 || len(got.Timeline) != 9 || got.State != StateRolledBack {
		t.Errorf("the document: %v %+v", err, got)
	}
	if err := rolledBackStatus().SaveReport(filepath.Join(dir, "absent", "r.txt"), false, at(0).Time()); core.KindOf(err) != core.KindFailed || strings.Contains(err.Error(), "already") {
		t.Errorf("into a directory that is not there: %v", err)
	}
}
