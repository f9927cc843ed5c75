package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/nodetest"
)

// listedRooms are rooms of several pages; the last user owns the last three.
func listedRooms(t *testing.T, n int) core.Snapshot {
	t.Helper()
	s := nodetest.SampleRows(t, 100)
	s.Rooms, s.Members, s.Keys = nil, nil, nil
	for i := range n {
		r := core.Room{ID: core.RoomID(fmt.Sprintf("room-%05d", i)), Owner: s.Users[0].ID, Rec: core.LegacyRec, State: core.RoomActive, Created: core.Millis(1 + i)}
		if i >= n-3 {
			r.Owner = s.Users[len(s.Users)-1].ID
		}
		if i%1000 == 7 {
			r.Name = new("Kitchen")
		}
		s.Rooms = append(s.Rooms, r)
	}
	s.Members = []core.Member{{Room: s.Rooms[5].ID, User: s.Users[0].ID, Role: core.MemberOwner, State: core.MemberActive, Joined: 1}}
	return s
}

// TestRoomListOfAllPages: the real command prints every room of the query once, in the requested
// order, as lines and as JSON. It refuses a senseless query before it connects.
func TestRoomListOfAllPages(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	const n = 2300
	s := listedRooms(t, n)
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Nodes: 1, Seed: s})
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program(t, "unibusd"), append([]string{"room", "list", "--server", p.URLs(0)[0], "--identity", p.AdminSeedFile}, args...)...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	listed := func(args ...string) (ids []string) {
		t.Helper()
		out, err := run(append(args, "--json")...)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var list struct{ Rooms []admin.RoomSummary }
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatal(err)
		}
		for _, r := range list.Rooms {
			ids = append(ids, string(r.ID))
		}
		return ids
	}
	var all []string
	for _, r := range s.Rooms {
		all = append(all, string(r.ID))
	}
	last := string(s.Users[len(s.Users)-1].ID)
	for what, c := range map[string]struct {
		args []string
		want []string
	}{
		"all":             {nil, all},
		"the latest":      {[]string{"--sort", "created", "--descending", "--limit", "1200"}, reversed(all)[:1200]},
		"of an owner":     {[]string{"--owner", strings.ToLower(last)}, all[n-3:]},
		"by name":         {[]string{"--filter", "KITCHEN"}, []string{"room-00007", "room-01007", "room-02007"}},
		"of no owner":     {[]string{"--owner", last, "--filter", "kitchen"}, nil},
		"by members":      {[]string{"--sort", "members", "--descending", "--limit", "1"}, []string{"room-00005"}},
		"by owners' name": {[]string{"--sort", "owner", "--descending", "--limit", "2"}, []string{"room-02299", "room-02298"}},
	} {
		if got := listed(c.args...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %d rooms, want %d: %v", what, len(got), len(c.want), got[:min(len(got), 5)])
		}
	}
	out, err := run()
	if lines := strings.Split(strings.TrimSpace(out), "\n"); err != nil || len(lines) != n+1 || !strings.HasPrefix(lines[0], "ROOM ") || !strings.HasPrefix(lines[n], "room-02299 ") {
		t.Errorf("%v: %d lines, want %d: %s", err, len(lines), n+1, out[:min(len(out), 300)])
	}
	for flag, text := range map[string]string{
		"--sort=color": "rooms cannot be sorted by", "--limit=0": "--limit 0 lists no room", "--owner=ann": "is not a user's public nkey",
		"--filter=" + strings.Repeat("x", 300): "the filter has 300 bytes",
	} {
		out, err := run(flag, "--server", "nats://127.0.0.1:1")
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(out, text) {
			t.Errorf("%s: %v: %s", flag[:min(len(flag), 20)], err, out)
		}
	}
}

func reversed(all []string) []string {
	out := slices.Clone(all)
	slices.Reverse(out)
	return out
}
