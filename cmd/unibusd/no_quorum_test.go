package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// libraryText is what Go and its libraries say, and no person should read. An id may have the
// letters EOF in it.
var libraryText = regexp.MustCompile(`context deadline exceeded|context canceled|_barrier\.|nats: |\bEOF\b`)

// TestCommandsWithoutQuorum: of three nodes one answers. A command that only reads never
// claims that it may have changed something, and no command prints an error of Go. Each
// that needs the quorum says so. Before that, groups step down by each name that they have.
func TestCommandsWithoutQuorum(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true})
	cl := p.Client(0)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy })
	user := nodetest.Identity(t).Public()
	if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(user)}); err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"room_keys", core.TableRoomKeys.Bucket(), "audit", "control", "events", "meta"} { // as LEADS and as the buckets' list name them
		if out, code := runCommand(p, []string{"step-down", group}); code != 0 {
			t.Errorf("step-down %s ended with %d: %s", group, code, out)
		}
	}
	p.Kill(1)
	p.Kill(2)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Meta.Online == 1 && st.Meta.Leader == "" })
	reads := [][]string{
		{"user", "list"},
		{"user", "get", user},
		{"session", "list"},
		{"room", "list"},
		{"room", "get", "no-room"},
		{"doctor"},
		{"audit"},
		{"events"},
		{"audit", "verify"},
		{"bucket", "list"},
		{"node", "list"},
		{"node", "plan", "stop", "n1"},
		{"operator", "list"},
		{"rollout"},
		{"flags"},
		{"migration", "status"},
		{"migration", "report"},
		{"cluster-key", "show"},
		{"guide", "quorum-lost"},
		{"guide", "rescue"},
	}
	acts := [][]string{
		{"user", "add", nodetest.Identity(t).Public()},
		{"user", "revoke", user},
		{"session", "end", user},
		{"session", "end", "n1/7"},
		{"support-bundle", filepath.Join(t.TempDir(), "bundle.tar.gz")},
		{"step-down", "meta"},
		{"step-down", core.TableUsers.Bucket()},
		{"node", "drain", "n1"},
		{"node", "remove", "n3"},
		{"node", "add", "n4"},
		{"node", "fence", "n1"},
		{"node", "rescue"},
		{"node", "rescue", "--quorum", "1"},
		{"node", "replace", "n3", "n4"},
		{"bucket", "scale", "--replicas", "1"},
		{"backup", "--out", filepath.Join(t.TempDir(), "backup.db")},
		{"migration", "finish", "--yes"},
	}
	needsQuorum := []string{"user list", "user get " + user, "room list", "room get no-room"}
	var all sync.WaitGroup
	for _, args := range append(slices.Clone(reads), acts...) {
		all.Go(func() {
			line := strings.Join(args, " ")
			isRead := slices.ContainsFunc(reads, func(r []string) bool { return slices.Equal(r, args) })
			out, code := runCommand(p, args)
			if raw := libraryText.FindString(out); raw != "" {
				t.Errorf("%s printed %q: %s", line, raw, out)
			}
			for _, never := range []string{"may have been done", "look before you try again", `"outcome":"unknown"`, `"outcome": "unknown"`} {
				if isRead && strings.Contains(out, never) {
					t.Errorf("%s only reads, and printed %q: %s", line, never, out)
				}
			}
			if slices.Contains(needsQuorum, line) && (code != 4 || !strings.Contains(out, "no quorum: 1 of 3 nodes answer") || errorOf(out).Outcome != core.OutcomeNone || !strings.Contains(errorOf(out).Next, "unibus-tui status")) {
				t.Errorf("%s ended with %d: %s", line, code, out)
			}
		})
	}
	all.Wait()
}

func runCommand(p *nodetest.Processes, args []string) (out string, code int) {
	path, err := exec.LookPath("unibusd")
	if err != nil {
		return err.Error(), -1
	}
	if args[0] == "node" && args[1] == "replace" {
		args = append(slices.Clone(args), "--timeout", "3s")
	}
	c := exec.Command(path, append(slices.Clone(args), "--server", p.URLs(0)[0], "--identity", p.AdminSeedFile, "--json")...)
	text, _ := c.CombinedOutput() // the code says how it ended
	return string(text), c.ProcessState.ExitCode()
}

func errorOf(out string) core.Error {
	var doc struct {
		Error core.Error `json:"error"`
	}
	_ = json.Unmarshal([]byte(out), &doc)
	return doc.Error
}
