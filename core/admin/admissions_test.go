package admin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/store/storetest"
)

// TestAdmissions: only what was certainly done admits, and only where no denial may have
// come later.
func TestAdmissions(t *testing.T) {
	t.Parallel()
	id := storetest.NewUserID(t)
	const early, late = "2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"
	for actions, want := range map[string]string{
		"":                                      "",
		"user-add ok":                           "",
		"user-revoke ok":                        "",
		"user-activate ok":                      "activate U",
		"user-activate failed":                  "",
		"user-activate unknown":                 "",
		"user-revoke ok; user-activate ok":      "activate U",
		"user-activate ok; user-revoke ok":      "",
		"user-activate ok; user-revoke unknown": "",
		"user-revoke ok; user-activate unknown": "",
		"user-activate before":                  "",
		"user-extend ok " + late:                "extend U --expires " + late,
		"user-extend ok never":                  "extend U --expires never",
		"user-extend ok " + early + "; user-extend ok " + late:      "extend U --expires " + late,
		"user-extend ok " + late + "; user-extend ok " + early:      "extend U --expires " + early,
		"user-extend ok " + late + "; user-extend unknown " + early: "",
		"user-extend ok " + late + "; user-activate ok":             "extend U --expires " + late + ", activate U",
		"user-revoke ok; user-extend ok never":                      "extend U --expires never",
	} {
		var records []AuditRecord
		for i, action := range strings.Split(actions, "; ") {
			if action == "" {
				continue
			}
			f := strings.SplitN(action+" ", " ", 3)
			r := AuditRecord{Seq: uint64(i + 1), At: core.Millis(1_000_000 + 1000*i), TookMS: 5, Verb: f[0], Outcome: f[1], Args: "id=" + string(id)}
			if r.Outcome == "before" {
				r.Outcome, r.At = "ok", 1_000_000-ClockMargin-6
			}
			if r.Verb == "user-extend" {
				r.Args += " expires=" + strings.TrimSpace(f[2])
			}
			records = append([]AuditRecord{r}, records...)
		}
		var got []string
		for _, a := range Admissions(records, 1_000_000) {
			got = append(got, strings.ReplaceAll(strings.Join(a.Arguments(), " "), string(id), "U"))
		}
		if d := cmp.Diff(want, strings.Join(got, ", ")); d != "" {
			t.Errorf("%s:\n%s", actions, d)
		}
	}
}

// TestAdmissionComparesWithADatabase: a user whom the database admits as long is left out.
func TestAdmissionComparesWithADatabase(t *testing.T) {
	t.Parallel()
	const now core.Millis = 1_000_000
	activated, extended, over, endless := Admission{Activated: true}, Admission{Expires: 2_000_000}, Admission{Expires: 900_000}, Admission{}
	revoked, active := core.User{Status: core.UserRevoked}, core.User{Status: core.UserActive}
	ends := func(at core.Millis) core.User { return core.User{Status: core.UserActive, Expires: at} }
	for name, c := range map[string]struct {
		a      Admission
		u      core.User
		denies bool
	}{
		"revoked":                     {activated, revoked, true},
		"active":                      {activated, active, false},
		"an earlier end":              {extended, ends(1_500_000), true},
		"expired":                     {extended, ends(1), true},
		"that end":                    {extended, ends(2_000_999), false},
		"a later end":                 {extended, ends(3_000_000), false},
		"without an end":              {extended, active, false},
		"the audit's end is over":     {over, ends(1), false},
		"an end, and the audit: none": {endless, ends(3_000_000), true},
		"none, and the audit: none":   {endless, active, false},
	} {
		if got := c.a.Denies(c.u, now); got != c.denies {
			t.Errorf("%s: %v", name, got)
		}
	}
}
