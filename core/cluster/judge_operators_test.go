package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

const (
	anaKey = "UCD6G343TMTJESGDQYBH5AXBSUB2ZHIKVZ4WK4EGCIYYOKBXAE5CC67D"
	benKey = "UDMKNQBPADV5FXJRAASC7SGCASAPXHZWTJUFZ3QZFHQUFUSV4WB34C22"
)

// saying makes the nodes of a healthy cluster say who their operators are.
func saying(each func(i int, o *Operators)) View {
	return with(healthy(3, 3), func(v *View) {
		for i := range v.Nodes {
			o := &Operators{List: []core.Operator{{Key: anaKey, Role: core.OperatorAdmin, Name: "ana"}, {Key: benKey, Role: core.OperatorViewer, Name: "ben"}}, File: "/etc/unibus/unibusd.toml"}
			each(i, o)
			v.Nodes[i].Info.Operators = o
		}
	})
}

// operatorCase is what the nodes say of their operators, and the finding that follows.
type operatorCase struct {
	name string
	each func(i int, o *Operators)
	text string // of the one finding; "" for none
	next string
}

func operatorCases() []operatorCase {
	return []operatorCase{
		{"the same", func(int, *Operators) {}, "", ""},
		{"removed on two", func(i int, o *Operators) {
			if i != 1 {
				o.List = o.List[:1]
			}
		}, "ben (UDMK…4C22) is an operator on n2 and not on n1 and n3: which node answers decides what is allowed.", "unibusd operator remove " + benKey},
		{"another role", func(i int, o *Operators) {
			if i == 2 {
				o.List[1].Role = core.OperatorAdmin
			}
		}, "ben (UDMK…4C22) has different roles: viewer on n1 and n2, admin on n3.", "configuration files"},
		{"another name", func(i int, o *Operators) {
			if i == 0 {
				o.List[0].Name = "eve"
			}
		}, "The operator's key UCD6…C67D has different names: eve on n1, ana on n2 and n3.", ""},
		{
			"a key that ends soon", func(_ int, o *Operators) { o.List[1].NotAfter = core.MillisOf(noon.Add(50 * time.Hour)) },
			"The key of the operator ben (UDMK…4C22) ends in 2 d: then every node refuses it.", "a later not-after",
		},
		{
			"a key that ends in a week", func(_ int, o *Operators) { o.List[1].NotAfter = core.MillisOf(noon.Add(7 * 24 * time.Hour)) },
			"The key of the operator ben (UDMK…4C22) ends in 7 d: then every node refuses it.", "a later not-after",
		},
		{
			"a key that has ended", func(_ int, o *Operators) { o.List[1].NotAfter = core.MillisOf(noon.Add(-time.Hour)) },
			"The key of the operator ben (UDMK…4C22) ended on " + noon.Format("2006-01-02") + ", and every node refuses it.", "remove the entry",
		},
		{"a key that ends later", func(_ int, o *Operators) { o.List[1].NotAfter = core.MillisOf(noon.Add(15 * 24 * time.Hour)) }, "", ""},
		{"another end", func(i int, o *Operators) {
			if i == 2 {
				o.List[1].NotAfter = core.MillisOf(time.Date(2090, 1, 2, 0, 0, 0, 0, time.UTC))
			}
		}, "ben (UDMK…4C22) has different ends: no end on n1 and n2, 2090-01-02T00:00:00Z on n3.", "configuration files"},
		{"another ssh-key", func(i int, o *Operators) {
			if i == 2 {
				o.List[1].SSHKey = "ssh-ed25519 AAAA"
			}
		}, "ben (UDMK…4C22) has another ssh-key on n3 than on n1 and n2: it does not open the console over SSH.", "configuration files"},
		{"a broken file", func(i int, o *Operators) {
			if i == 1 {
				o.Fault, o.FaultSince = "unibusd.toml, line 2: there is no setting \"lisen\"", ago(time.Minute)
			}
		}, "n2 cannot use its configuration file since 12:08:44 UTC, and its operators stay as they were: unibusd.toml, line 2: there is no setting \"lisen\".", "/etc/unibus/unibusd.toml on n2"},
		{"a list that is not on disk", func(i int, o *Operators) {
			if i == 2 {
				o.Unsaved = "no space left on device"
			}
		}, "n3 cannot keep the list of removed operators: no space left on device.", "disk of n3"},
		{"removed, and still in a file", func(i int, o *Operators) {
			o.List, o.Removed = o.List[:1], []core.RemovedOperator{{Operator: o.List[1], By: "ana"}}
			if i == 1 {
				o.Leftover = []core.Operator{{Key: benKey, Role: core.OperatorViewer, Name: "ben"}}
			}
		}, "The configuration of n2 still names ben (UDMK…4C22), which was removed: the node refuses the key.", benKey},
	}
}

// TestOperatorsAreCompared: an operator who is not the same on all nodes is a finding, and so is a
// file that cannot be used.
func TestOperatorsAreCompared(t *testing.T) {
	t.Parallel()
	for _, c := range operatorCases() {
		j := Judge(saying(c.each), noon)
		at := slices.IndexFunc(j.Findings, func(f Finding) bool { return f.Text == c.text })
		switch {
		case c.text == "" && len(j.Findings) > 0, c.text != "" && (at < 0 || !strings.Contains(j.Findings[at].Next, c.next)):
			t.Errorf("%s: %+v", c.name, j.Findings)
		case c.text != "" && len(j.Findings) != 1:
			t.Errorf("%s: more than one finding: %+v", c.name, j.Findings)
		}
	}
	away := lose(saying(func(i int, o *Operators) {
		if i == 2 {
			o.List = nil
		}
	}), "n3")
	for _, f := range Judge(away, noon).Findings {
		if strings.Contains(f.Text, "is an operator on") {
			t.Errorf("a node that is away is compared: %s", f.Text)
		}
	}
}

// TestOperatorEndIsANoteAtFirst: an end that is days away alarms nobody, and keeps no
// restart; in the last days it does.
func TestOperatorEndIsANoteAtFirst(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]Level{13 * 24 * time.Hour: Healthy, 73 * time.Hour: Healthy, 71 * time.Hour: Degraded, time.Hour: Degraded, -time.Hour: Healthy} {
		v := saying(func(_ int, o *Operators) { o.List[1].NotAfter = core.MillisOf(noon.Add(left)) })
		if j := Judge(v, noon); j.Verdict != want || len(j.Findings) != 1 {
			t.Errorf("%s before the end: %s, %+v", left, j.Verdict, j.Findings)
		}
	}
}

// TestOperatorsOf: one row for each operator, with the nodes that differ, and silent nodes by name.
func TestOperatorsOf(t *testing.T) {
	t.Parallel()
	v := lose(saying(func(i int, o *Operators) {
		if i == 1 {
			o.List, o.Fault = o.List[:1], "broken"
			o.Removed = []core.RemovedOperator{{Operator: core.Operator{Key: benKey, Name: "ben"}, By: "ana"}}
		}
	}), "n3")
	got := OperatorsOf(v)
	if len(got.Operators) != 2 || fmt.Sprint(got.Operators[1].On, got.Operators[1].NotOn) != "[n1] [n2]" || fmt.Sprint(got.Operators[0].On) != "[n1 n2]" {
		t.Errorf("%+v", got.Operators)
	}
	if len(got.Removed) != 1 || fmt.Sprint(got.Removed[0].On, got.Removed[0].NotOn) != "[n2] [n1]" || got.Faults["n2"] != "broken" || fmt.Sprint(got.Silent) != "[n3]" {
		t.Errorf("%+v", got)
	}
}
