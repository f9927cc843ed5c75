package cluster

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestEveryFindingAdvises: each finding is a whole sentence and has a next step that names
// the nodes where something is to be done, or a command, a page or a document.
// cmd/unibusd parses the commands, and tui shows each finding in a small window.
func TestEveryFindingAdvises(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(judgedViews(), routeViews()) {
		for _, f := range Judge(c.view, noon).Findings {
			for _, fault := range adviceFaults(c.view, f) {
				t.Errorf("%s: %s: %s\n  next: %s", c.name, fault, f.Text, f.Next)
			}
		}
	}
}

// everyNode are words for the nodes of which none has to be named.
var everyNode = regexp.MustCompile(`\b(every|each) node\b|\bnodes? of routes\b|\bthe host of [0-9]|\ball nodes\b`)

// elsewhere is a next step that happens at no node: a command of ours, the console, a document.
var elsewhere = regexp.MustCompile("^wait\\b|`unibus|\\bunibusd (bucket|node|migrate-to-kv)|page [0-9]+ of the console|docs/[a-z/-]+\\.md")

// consequence is a second clause or sentence, which says what the first one means.
var consequence = regexp.MustCompile(`(: |\. |; |, so |, and (users|writes|new|no|what|its|nothing|messages) )[^ ]+ [^ ]+`)

func adviceFaults(v View, f Finding) []string {
	var out []string
	named := slices.ContainsFunc(v.Nodes, func(n Node) bool { return hasWord(f.Next, n.Name) })
	switch {
	case f.Level != Note && !consequence.MatchString(f.Text):
		out = append(out, "it does not say what that means")
	case f.Text == "" || !strings.HasSuffix(f.Text, "."):
		out = append(out, "it is no whole sentence")
	case f.Next == "":
		out = append(out, "there is no next step")
	case !named && !everyNode.MatchString(f.Next) && !elsewhere.MatchString(f.Next) && !strings.HasPrefix(f.About, "node."):
		out = append(out, "the next step names no node")
	}
	for _, m := range regexp.MustCompile(`(docs/[a-z/-]+\.md)(?:, "([^"]+)")?`).FindAllStringSubmatch(f.Text+" "+f.Next, -1) {
		text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(m[1])))
		if err != nil || m[2] != "" && !strings.Contains(string(text), "\n## "+m[2]+"\n") {
			out = append(out, "the document or its section does not exist: "+m[0])
		}
	}
	return out
}

// hasWord finds a name that is no part of a longer word.
func hasWord(text, name string) bool {
	return regexp.MustCompile(`(^|[^A-Za-z0-9_-])` + regexp.QuoteMeta(name) + `($|[^A-Za-z0-9_-])`).MatchString(text)
}

// TestBadAdviceIsFound shows that the test sees what it is for.
func TestBadAdviceIsFound(t *testing.T) {
	t.Parallel()
	v := healthy(3, 3)
	for next, bad := range map[string]bool{
		"": true, "start the node that has the database": true, "remove it from the meta group": true, "docs/operations/" + "none.md says how": true,
		"start unibusd on n10": true, "start unibusd on n1": false, "wait; an election takes up to ten seconds": false, "give every node the same value": false,
		`follow docs/operations/restore.md, "When streams were deleted"`: false, `follow docs/operations/restore.md, "When it rains"`: true,
	} {
		if got := adviceFaults(v, Finding{Degraded, "meta", "It is so: nobody can write.", next}); (len(got) > 0) != bad {
			t.Errorf("%q: %q", next, got)
		}
	}
	if len(adviceFaults(v, Finding{Degraded, "meta", "It is so.", "restart unibusd on n1"})) == 0 {
		t.Error("a finding without a consequence was not found")
	}
}

// TestTimesHaveAZone: a sentence is made on a node and read elsewhere.
func TestTimesHaveAZone(t *testing.T) {
	t.Parallel()
	clockTime := regexp.MustCompile(`\b\d\d:\d\d(:\d\d)?\b( UTC| [A-Z]{3,4})?`)
	there, seen := time.FixedZone("", 5*3600+1800), 0
	for _, c := range slices.Concat(judgedViews(), routeViews()) {
		j := Judge(c.view, noon.In(there))
		for _, f := range j.Findings {
			for _, at := range clockTime.FindAllStringSubmatch(f.Text+" "+f.Next, -1) {
				if seen++; at[2] != " UTC" {
					t.Errorf("%s: %q in %q", c.name, at[0], f.Text)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d times", seen)
	}
}
