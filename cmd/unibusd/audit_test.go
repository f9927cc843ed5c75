package main

import (
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/audit"
)

// TestAuditFilter: each value selects what it says, and nothing that merely contains it.
func TestAuditFilter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	r := admin.AuditRecord{Name: "ana", Key: "UANA", Verb: "user-add", Args: `id=UBOB name="Bob = = \"B\"" role=member`, Outcome: "ok", At: core.MillisOf(now.Add(-time.Hour))}
	for _, c := range []struct {
		f    auditFilter
		want bool
	}{
		{auditFilter{}, true},
		{auditFilter{operator: "ana"}, true},
		{auditFilter{operator: "UANA"}, true},
		{auditFilter{operator: "an"}, false},
		{auditFilter{userAdmin: "ana"}, false},
		{auditFilter{userAdmin: "UANA"}, false},
		{auditFilter{outcome: "ok"}, true},
		{auditFilter{outcome: "unknown"}, false},
		{auditFilter{verb: "user-add"}, true},
		{auditFilter{verb: "user-revoke"}, false},
		{auditFilter{target: "UBOB"}, true},
		{auditFilter{target: "UBO"}, false},
		{auditFilter{target: "id=UBOB"}, true},
		{auditFilter{target: "name=UBOB"}, false},
		{auditFilter{target: `Bob = = "B"`}, true},
		{auditFilter{target: "Bob"}, false},
		{auditFilter{target: "member"}, true},
		{auditFilter{since: "2h"}, true},
		{auditFilter{since: "30m"}, false},
		{auditFilter{since: "1d"}, true},
		{auditFilter{until: "30m"}, true},
		{auditFilter{until: "2h"}, false},
		{auditFilter{since: "2026-03-10"}, true},
		{auditFilter{since: "2026-03-11"}, false},
		{auditFilter{until: "2026-03-10"}, true}, // the whole day
		{auditFilter{until: "2026-03-09"}, false},
		{auditFilter{since: "2026-03-10T11:00:00Z", until: "2026-03-10 11:00:01"}, true},
		{auditFilter{until: "2026-03-10T11:00:00Z"}, false},
		{auditFilter{operator: "ana", verb: "user-revoke"}, false},
	} {
		if err := c.f.parse(now); err != nil {
			t.Errorf("%+v: %v", c.f, err)
		} else if got := c.f.matches(r); got != c.want {
			t.Errorf("%+v: %v", c.f, got)
		}
	}
	for _, f := range []auditFilter{{since: "yesterday"}, {since: "-3h"}, {since: "1900-01-01"}, {until: "99999d"}, {since: "1h", until: "2h"}, {verb: "status"}, {outcome: "fine"}, {since: "7 d"}} {
		if err := f.parse(now); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// TestFilterTellsUserAdminsFromOperators: users choose each other's names.
func TestFilterTellsUserAdminsFromOperators(t *testing.T) {
	t.Parallel()
	r := admin.AuditRecord{Name: "ana", Key: "UANN", Role: audit.RoleUserAdmin, Verb: "member-remove"}
	for f, want := range map[auditFilter]bool{
		{operator: "ana"}: false, {operator: "UANN"}: false, {userAdmin: "ana"}: true, {userAdmin: "UANN"}: true, {userAdmin: "UAN"}: false,
		{verb: "member-remove"}: true,
	} {
		if err := f.parse(time.Now()); err != nil || f.matches(r) != want {
			t.Errorf("%+v: %v, %v", f, f.matches(r), err)
		}
	}
	if cell := csvCells(r)[2]; cell != "user-admin UANN ana" {
		t.Errorf("the export names %q as the operator", cell)
	}
}

// TestSpreadsheetsRunNoFormula: a cell of the export that begins as a formula is text.
func TestSpreadsheetsRunNoFormula(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "a=1": "a=1", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "7": "7"} {
		if got := csvCell(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	cells := csvCells(admin.AuditRecord{Name: "=cmd", Args: "@x", Text: "-y"})
	if cells[2] != "'=cmd" || cells[7] != "'@x" || cells[9] != "'-y" {
		t.Errorf("%q", cells)
	}
}
