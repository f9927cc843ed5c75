package node

import (
	"fmt"
	"testing"
	"time"

	"unibus/core"
)

func TestSoftTableIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	table := newSoftAdmissions(now)
	reason := core.Errorf(core.KindRefused, "unknown")
	for i := range maxSoftEntries + 5 {
		table.count(fmt.Sprint(i), "192.0.2.1:1", reason, now)
	}
	if first := table.count("0", "192.0.2.1:2", reason, now.Add(time.Second)); first {
		t.Error("another port of the same address is another entry")
	}
	all, overflow := table.list(now.Add(time.Second))
	if len(all) != maxSoftEntries || overflow != 5 || all[0].Key != "0" || all[0].Count != 2 || all[0].Addr != "192.0.2.1" {
		t.Errorf("%d entries, %d more, the latest %+v", len(all), overflow, all[0])
	}
	later := now.Add(softEntryLife + 2*time.Second)
	if !table.count("new", "[2001:db8::1]:1", reason, later) {
		t.Error("old entries keep a new one out")
	}
	if all, _ = table.list(later); len(all) != 1 || all[0].Addr != "2001:db8::1" {
		t.Errorf("after a day: %+v", all)
	}
}

func TestFileWatch(t *testing.T) {
	t.Parallel()
	var w fileWatch
	if w.written("") {
		t.Error("no file was written")
	}
	path := t.TempDir() + "/db"
	for i, want := range []bool{true, true, false, false} { // another file, and once more after it
		if w.written(path) != want {
			t.Errorf("question %d: %v", i, !want)
		}
	}
	if w.written("") || !w.written(path) {
		t.Error("a file that is served again was not looked at")
	}
}
