package admin

import (
	"slices"
	"testing"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/store/storetest"
)

// TestDenialsAreOrderedAsTheStream: clocks of nodes differ by up to two minutes, so they do not
// order what two nodes did. Without a common sequence a denial counts, unless the act that
// lifts it came certainly later.
func TestDenialsAreOrderedAsTheStream(t *testing.T) {
	t.Parallel()
	id := storetest.NewUserID(t)
	act := func(source string, seq uint64, at core.Millis, verb, rest string) AuditRecord {
		return AuditRecord{Source: source, Seq: seq, At: at, Verb: verb, Outcome: audit.OutcomeOK, Args: "id=" + string(id) + rest}
	}
	late := func(node string, r AuditRecord) AuditRecord {
		r.Late, r.Node = true, node
		return r
	}
	const since, t0, minute core.Millis = 10_000_000, 20_000_000, 60_000
	const early, later = " expires=2030-01-01T00:00:00Z", " expires=2031-01-01T00:00:00Z"
	for name, c := range map[string]struct {
		records []AuditRecord
		denied  int
		expires string
	}{
		"revoked last, by a slow clock":             {[]AuditRecord{act("s", 1, t0+2*minute-1, "user-activate", ""), act("s", 2, t0, "user-revoke", "")}, 1, ""},
		"activated last, by a slow clock":           {[]AuditRecord{act("s", 1, t0+2*minute-1, "user-revoke", ""), act("s", 2, t0, "user-activate", "")}, 0, ""},
		"activated last, by a clock before --since": {[]AuditRecord{act("s", 1, since, "user-revoke", ""), act("s", 2, since-2*minute-1, "user-activate", "")}, 0, ""},
		"an earlier end last, by a slow clock":      {[]AuditRecord{act("s", 1, t0+minute, "user-extend", later), act("s", 2, t0, "user-extend", early)}, 1, early},
		"no end first, by a fast clock":             {[]AuditRecord{act("s", 1, t0+minute, "user-extend", " expires=never"), act("s", 2, t0, "user-extend", early)}, 1, early},
		"a sequence of another stream":              {[]AuditRecord{act("s", 9, t0+minute, "user-activate", ""), act("r", 1, t0, "user-revoke", "")}, 1, ""},
		"in a node's file alone":                    {[]AuditRecord{act("f", 900, t0, "user-revoke", ""), act("s", 1, t0+2*minute, "user-activate", "")}, 1, ""},
		"certainly later":                           {[]AuditRecord{act("f", 900, t0, "user-revoke", ""), act("s", 1, t0+2*minute+1, "user-activate", "")}, 0, ""},
		"an end in a node's file alone":             {[]AuditRecord{act("f", 900, t0, "user-extend", early), act("s", 1, t0+minute, "user-extend", later)}, 1, early},
		"the smallest of ends without an order": {[]AuditRecord{
			act("f", 9, t0, "user-extend", early), act("s", 1, t0+minute, "user-extend", " expires=2030-06-01T00:00:00Z"), act("f", 10, t0+2, "user-extend", later),
		}, 1, " expires=2030-06-01T00:00:00Z"},
		"activated by a record that was added late": {[]AuditRecord{act("s", 1, t0+1, "user-revoke", ""), late("n2", act("s", 2, t0, "user-activate", ""))}, 1, ""},
		"both were added late, from one node":       {[]AuditRecord{late("n2", act("s", 1, t0, "user-revoke", "")), late("n2", act("s", 2, t0+1, "user-activate", ""))}, 0, ""},
		"revoked after the backup, by a slow clock": {[]AuditRecord{act("s", 1, since-2*minute, "user-revoke", "")}, 1, ""},
		"revoked before the backup, by any clock":   {[]AuditRecord{act("s", 1, since-2*minute-1, "user-revoke", "")}, 0, ""},
	} {
		for range 2 {
			got := Denials(c.records, since)
			if len(got) != c.denied {
				t.Errorf("%s: %d users are denied, want %d: %+v", name, len(got), c.denied, got)
			} else if c.expires != "" && " expires="+got[0].Record.Argument("expires") != c.expires {
				t.Errorf("%s: the end is that of %+v", name, got[0].Record)
			}
			slices.Reverse(c.records) // pages have the newest first; the order of the argument is none
		}
	}
}

// TestAuditedUsers: a backup has all users about whom something was done, except those who were
// added after it. A failed action says nothing about a user.
func TestAuditedUsers(t *testing.T) {
	t.Parallel()
	old, added, failed := storetest.NewUserID(t), storetest.NewUserID(t), storetest.NewUserID(t)
	act := func(id core.UserID, at core.Millis, verb, outcome string) AuditRecord {
		return AuditRecord{At: at, Verb: verb, Outcome: outcome, Args: "id=" + string(id)}
	}
	const since core.Millis = 10_000_000
	records := []AuditRecord{
		act(old, since+1, "user-revoke", "ok"), act(added, since+2, "user-revoke", "ok"), act(added, since-ClockMargin, "user-add", "ok"),
		act(failed, since-ClockMargin-1, "user-add", "failed"), act(old, since-ClockMargin-1, "user-add", "ok"), act("a room", since, "room-rekey", "ok"),
	}
	for at, want := range map[core.Millis][]core.UserID{since: {old}, 0: {old, added}} {
		slices.Sort(want)
		if got := AuditedUsers(records, at); !slices.Equal(got, want) {
			t.Errorf("since %d: %v, want %v", at, got, want)
		}
	}
}
