package admin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/control"
	"unibus/core/store/storetest"
)

// TestDenials: the last action about a user counts that was done. One that may have been
// done denies, and admits nobody.
func TestDenials(t *testing.T) {
	t.Parallel()
	id, other := storetest.NewUserID(t), storetest.NewUserID(t)
	const early, late = "2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"
	for name, c := range map[string]struct {
		actions string // verb, outcome, effect or -, and for an extension the end; one each second
		want    string
	}{
		"nothing":                       {"", ""},
		"added":                         {"user-add ok -", ""},
		"revoked":                       {"user-revoke ok -", "revoke"},
		"a revocation failed":           {"user-revoke failed -", ""},
		"a revocation was refused":      {"user-revoke refused -", ""},
		"nothing was done":              {"user-revoke unavailable none", ""},
		"it may have been done":         {"user-revoke unavailable unknown", "revoke?"},
		"it does not say":               {"user-revoke unavailable -", "revoke?"},
		"its node died":                 {"user-revoke unknown -", "revoke?"},
		"certain before":                {"user-revoke ok -; user-revoke unknown -", "revoke"},
		"certain after":                 {"user-revoke unknown -; user-revoke ok -", "revoke"},
		"activated":                     {"user-revoke ok -; user-activate ok -", ""},
		"activated perhaps":             {"user-revoke ok -; user-activate unknown -", "revoke"},
		"an activation failed":          {"user-revoke ok -; user-activate failed -", "revoke"},
		"revoked again":                 {"user-revoke ok -; user-activate ok -; user-revoke ok -", "revoke"},
		"before":                        {"user-revoke ok - before", ""},
		"replaced":                      {"user-replace ok -", "revoke"},
		"replaced in part":              {"user-replace unavailable none " + id.Short() + " is revoked, and U…X has not all of its rooms yet: no", "revoke"},
		"a replacement failed":          {"user-replace refused - no", ""},
		"an end":                        {"user-extend ok - " + late, late},
		"an earlier end":                {"user-extend ok - " + late + "; user-extend ok - " + early, early},
		"a later end":                   {"user-extend ok - " + early + "; user-extend ok - " + late, late},
		"a later end perhaps":           {"user-extend ok - " + early + "; user-extend unknown - " + late, early},
		"an earlier end perhaps":        {"user-extend ok - " + late + "; user-extend unknown - " + early, early + "?"},
		"no end":                        {"user-extend ok - " + early + "; user-extend ok - never", ""},
		"no end perhaps":                {"user-extend ok - " + early + "; user-extend unknown - never", early},
		"an end failed":                 {"user-extend invalid - " + early, ""},
		"revoked, and with another end": {"user-extend ok - " + early + "; user-revoke ok -", early + " revoke"},
	} {
		var records []AuditRecord
		for i, action := range strings.Split(c.actions, "; ") {
			if action == "" {
				continue
			}
			f := strings.SplitN(action+"   ", " ", 4)
			r := AuditRecord{Seq: uint64(i + 1), At: core.Millis(1_000_000 + 1000*i), TookMS: 5, Verb: f[0], Outcome: f[1], Effect: core.Outcome(strings.TrimPrefix(f[2], "-")), Args: "id=" + string(id)}
			switch rest := strings.TrimSpace(f[3]); {
			case rest == "before":
				r.At = 1_000_000 - ClockMargin - 6
			case r.Verb == "user-extend":
				r.Args += " expires=" + rest
			case r.Verb == "user-replace":
				r.Args, r.Text = r.Args+" to="+string(other), rest
			}
			records = append([]AuditRecord{r}, records...) // newest first, as they are read
		}
		var got []string
		for _, d := range Denials(records, 1_000_000) {
			text := map[bool]string{true: "revoke", false: d.Expires.Time().UTC().Format("2006-01-02T15:04:05Z")}[d.Expires == 0]
			if d.User != id {
				t.Errorf("%s: about %s", name, d.User)
			}
			got = append(got, text+map[bool]string{true: "?"}[d.Uncertain])
		}
		if d := cmp.Diff(c.want, strings.Join(got, " ")); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

// TestRevocationUnderWayAtTheBackup was asked for before it and done after it.
func TestRevocationUnderWayAtTheBackup(t *testing.T) {
	t.Parallel()
	r := AuditRecord{At: 1_000_000 - ClockMargin - 1000, TookMS: 1500, Verb: "user-revoke", Outcome: audit.OutcomeOK, Args: "id=" + string(storetest.NewUserID(t))}
	if got := Denials([]AuditRecord{r}, 1_000_000); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestDenialComparesWithADatabase: a denial that the database has already is left out.
func TestDenialComparesWithADatabase(t *testing.T) {
	t.Parallel()
	const now core.Millis = 1_000_000
	for name, c := range map[string]struct {
		ends   core.Millis // that the audit has; 0: revoked
		user   core.User
		admits bool
		args   string
	}{
		"active":                {0, core.User{Status: core.UserActive}, true, "revoke U"},
		"revoked":               {0, core.User{Status: core.UserRevoked}, false, "revoke U"},
		"expired":               {0, core.User{Status: core.UserActive, Expires: 1}, false, "revoke U"},
		"without an end":        {2_000_000, core.User{Status: core.UserActive}, true, "extend U --expires 1970-01-01T00:33:20Z"},
		"with a later end":      {2_000_000, core.User{Status: core.UserActive, Expires: 2_001_000}, true, "extend U --expires 1970-01-01T00:33:20Z"},
		"with that end":         {2_000_000, core.User{Status: core.UserActive, Expires: 2_000_999}, false, "extend U --expires 1970-01-01T00:33:20Z"},
		"with an earlier end":   {2_000_000, core.User{Status: core.UserActive, Expires: 1_500_000}, false, "extend U --expires 1970-01-01T00:33:20Z"},
		"revoked, without end":  {2_000_000, core.User{Status: core.UserRevoked}, true, "extend U --expires 1970-01-01T00:33:20Z"},
		"an end that is over":   {900_000, core.User{Status: core.UserActive}, true, "revoke U"},
		"over, and revoked now": {900_000, core.User{Status: core.UserRevoked}, false, "revoke U"},
	} {
		d := Denial{User: "U", Expires: c.ends}
		if got := d.Admits(c.user, now); got != c.admits {
			t.Errorf("%s: admitted %v", name, got)
		}
		if got := strings.Join(d.Arguments(now), " "); got != c.args {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestUserAdminsHaveTheVerbsOfOperators for the same acts: --verb and Denials take both.
func TestUserAdminsHaveTheVerbsOfOperators(t *testing.T) {
	t.Parallel()
	var shared []string
	for _, v := range control.AuditedVerbs() {
		if r, ok := Rules()[Verb(v)]; ok && r.Acts() {
			shared = append(shared, v)
		}
	}
	if d := cmp.Diff([]string{"user-activate", "user-add", "user-revoke"}, shared); d != "" {
		t.Error(d)
	}
}
