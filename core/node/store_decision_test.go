package node

import (
	"fmt"
	"testing"

	"unibus/core"
	"unibus/core/migrate"
)

// row is one row of the table in ARCHITECTURE.md: its condition, and the store that the node serves
// then.
type row struct {
	name    string
	applies func(in decisionInputs, a *core.Authority) bool
	serves  func(in decisionInputs, a *core.Authority) core.Backend
	missing func(in decisionInputs, a *core.Authority) requirement // nil: nothing
}

// usableFile is the condition of each row that serves the file.
func usableFile(in decisionInputs, _ *core.Authority) core.Backend {
	lifted := !in.file.fenced || in.file.served
	rightFile := in.file.journaled || !in.journal.FileNeverServed
	if in.file.open && in.journal.Intent == nil && lifted && rightFile {
		return core.BackendSQLite
	}
	return core.BackendNone
}

func serveNothing(decisionInputs, *core.Authority) core.Backend { return core.BackendNone }

// givingAway is true while this node may be moving the authority a to another store.
func givingAway(in decisionInputs, a *core.Authority) bool {
	return in.journal.Intent != nil && in.journal.Intent.From.Generation >= a.Generation
}

func usableKV(in decisionInputs, a *core.Authority) core.Backend {
	if givingAway(in, a) || !in.kv.rowsReady || in.kv.guardsFor == nil {
		return core.BackendNone
	}
	return core.BackendKV
}

func missingForKV(in decisionInputs, a *core.Authority) requirement {
	switch {
	case givingAway(in, a):
		return nothingMissing
	case !in.kv.rowsReady:
		return rowsMissing
	case in.kv.guardsFor == nil || *in.kv.guardsFor != *a:
		return guardsMissing
	}
	return nothingMissing
}

func sqliteOf(node string) func(decisionInputs, *core.Authority) bool {
	return func(_ decisionInputs, a *core.Authority) bool {
		return a != nil && a.Backend == core.BackendSQLite && a.Node == node
	}
}

func flagCounts(flag core.Backend) func(decisionInputs, *core.Authority) bool {
	return func(in decisionInputs, a *core.Authority) bool {
		return a != nil && a.Backend == core.BackendNone && in.flag == flag
	}
}

func unreadable(byJournal bool) func(decisionInputs, *core.Authority) bool {
	return func(in decisionInputs, a *core.Authority) bool {
		return a == nil && byJournal == (in.journal.Authority != nil && *in.journal.Authority == thisFile(5))
	}
}

func thisFile(generation uint64) core.Authority {
	return core.Authority{Backend: core.BackendSQLite, Node: "n1", Generation: generation}
}

func rows() []row {
	return []row{
		{"nothing or none, --store sqlite", flagCounts(core.BackendSQLite), usableFile, nil},
		{"nothing or none, --store kv", flagCounts(core.BackendKV), usableKV, missingForKV},
		{"sqlite, this node", sqliteOf("n1"), usableFile, nil},
		{"sqlite, another node", sqliteOf("n2"), serveNothing, nil},
		{"kv", func(_ decisionInputs, a *core.Authority) bool { return a != nil && a.Backend == core.BackendKV }, usableKV, missingForKV},
		{"unreadable, the journal names this node", unreadable(true), usableFile, nil},
		{"unreadable, the journal names no file of this node", unreadable(false), serveNothing, nil},
	}
}

// each calls f with every combination of what a decision depends on.
func each(f func(in decisionInputs)) {
	none, other, inKV := core.Authority{Backend: core.BackendNone, Generation: 5}, core.Authority{Backend: core.BackendSQLite, Node: "n2", Generation: 5}, core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 5}
	mine, kvBefore, noneAtAll := thisFile(5), core.Authority{Backend: core.BackendKV, Node: "n1", Generation: 4}, core.Authority{Backend: core.BackendNone}
	records := []*core.Authority{nil, &noneAtAll, &none, &mine, &other, &inKV, &kvBefore}
	journaled := []*core.Authority{nil, &none, &mine, &other, &inKV}
	giving := &migrate.Intent{From: core.Authority{Generation: 5}, To: core.Authority{Backend: core.BackendKV, Generation: 6}}
	overtaken := &migrate.Intent{From: core.Authority{Generation: 3}, To: core.Authority{Backend: core.BackendSQLite, Generation: 4}}
	yesOrNo := []bool{false, true}
	var all []decisionInputs
	add := func(in decisionInputs) { all = append(all, in) }
	add(decisionInputs{node: "n1"})
	vary := func(change func(in decisionInputs, add func(decisionInputs))) {
		before := all
		all = nil
		for _, in := range before {
			change(in, add)
		}
	}
	vary(func(in decisionInputs, add func(decisionInputs)) {
		for _, in.flag = range []core.Backend{core.BackendSQLite, core.BackendKV} {
			for _, in.record = range records {
				for _, in.journal.Authority = range journaled {
					add(in)
				}
			}
		}
	})
	vary(func(in decisionInputs, add func(decisionInputs)) {
		for _, in.journal.Intent = range []*migrate.Intent{nil, giving, overtaken} {
			for _, in.journal.FileNeverServed = range yesOrNo {
				add(in)
			}
		}
	})
	vary(func(in decisionInputs, add func(decisionInputs)) {
		in.file.path = "/data/unibus.db"
		for _, in.file.exists = range yesOrNo {
			add(in)
		}
		in.file.open = true
		for _, in.file.journaled = range yesOrNo {
			for _, in.file.fenced = range yesOrNo {
				for _, in.file.served = range yesOrNo {
					add(in)
				}
			}
		}
	})
	vary(func(in decisionInputs, add func(decisionInputs)) {
		for _, in.kv.rowsReady = range yesOrNo {
			for _, in.kv.guardsFor = range []*core.Authority{nil, &inKV, &kvBefore, &noneAtAll} {
				add(in)
			}
		}
	})
	for _, in := range all {
		f(in)
	}
}

// TestDecideIsTheTable: in every combination exactly one row of the table applies, and the node
// serves as that row says.
func TestDecideIsTheTable(t *testing.T) {
	t.Parallel()
	table, used := rows(), map[string]int{}
	each(func(in decisionInputs) {
		a := in.record
		if a != nil && in.journal.Authority != nil && in.journal.Authority.Generation > a.Generation {
			a = in.journal.Authority // an older generation than one already seen is ignored
		}
		var found []row
		for _, r := range table {
			if r.applies(in, a) {
				found = append(found, r)
			}
		}
		if len(found) != 1 {
			t.Fatalf("%d rows apply to %s", len(found), describe(in))
		}
		r, want := found[0], nothingMissing
		if r.missing != nil {
			want = r.missing(in, a)
		}
		d := decide(in)
		if d.backend != r.serves(in, a) || d.missing != want {
			t.Fatalf("%s: serves %s, missing %d; want %s, %d: %s", r.name, d.backend, d.missing, r.serves(in, a), want, describe(in))
		}
		if d.missing == guardsMissing && d.authority != *a {
			t.Fatalf("the guards are to be opened for %v: %s", d.authority, describe(in))
		}
		used[r.name+" "+string(d.backend)]++
	})
	for _, want := range []string{
		"nothing or none, --store sqlite sqlite", "nothing or none, --store kv kv", "sqlite, this node sqlite", "sqlite, another node none",
		"kv kv", "unreadable, the journal names this node sqlite", "unreadable, the journal names no file of this node none",
	} {
		if used[want] == 0 {
			t.Errorf("no combination leads to: %s", want)
		}
	}
}

// TestDecisionsAreExplained: a node that serves nothing says why and what to do, and
// names the node that is the control plane.
func TestDecisionsAreExplained(t *testing.T) {
	t.Parallel()
	each(func(in decisionInputs) {
		d := decide(in)
		if (d.backend == core.BackendNone) != (d.reason != nil) || d.reason != nil && (d.reason.Text == "" || d.reason.Next == "") {
			t.Fatalf("%s with the reason %v: %s", d.backend, d.reason, describe(in))
		}
		if d.other != "" && (d.other != "n2" || d.backend != core.BackendNone) {
			t.Fatalf("%s and %s: %s", d.backend, d.other, describe(in))
		}
	})
}

func describe(in decisionInputs) string {
	text := fmt.Sprintf("--store %s, file %+v, kv %+v, never served %v", in.flag, in.file, in.kv, in.journal.FileNeverServed)
	if in.record != nil {
		text += fmt.Sprintf(", record %+v", *in.record)
	}
	if in.journal.Authority != nil {
		text += fmt.Sprintf(", journal %+v", *in.journal.Authority)
	}
	if in.journal.Intent != nil {
		text += fmt.Sprintf(", intent %+v", *in.journal.Intent)
	}
	return text
}
