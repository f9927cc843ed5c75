package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

func TestExpiryNote(t *testing.T) {
	t.Parallel()
	now := core.MillisOf(time.Date(2027, 1, 20, 12, 0, 0, 0, time.UTC))
	day := core.Millis(24 * time.Hour / time.Millisecond)
	user := func(name string, end core.Millis) core.User {
		u := core.User{ID: core.UserID("U" + strings.Repeat("A", 50) + "USER"), Status: core.UserActive, Expires: end}
		if name != "" {
			u.Name = &name
		}
		return u
	}
	revoked := user("gone", now+day)
	revoked.Status = core.UserRevoked
	for want, users := range map[string][]core.User{
		"": {user("past", now-1), user("now", now), revoked, user("later", now+14*day+1)},
		"1 user ends within 14 days: ann on 2027-01-21.":                            {user("ann", now+day), user("later", now+15*day), revoked},
		"2 users end within 14 days; the first is ann on 2027-01-21.":               {user("ben", now+14*day), user("ann", now+day)},
		"1 user ends within 14 days: " + user("", 1).ID.Short() + " on 2027-01-22.": {user("\x1b[2Jann", now+2*day)},
	} {
		note := expiryNote(users, now)
		if want == "" {
			if note != nil {
				t.Errorf("%+v", note)
			}
			continue
		}
		if note == nil || note.Text != want || note.Level != cluster.Note || !strings.Contains(note.Next, "unibusd user extend U") {
			t.Errorf("%+v, want %q", note, want)
		}
	}
	many := make([]core.User, 50)
	for i := range many {
		many[i] = user(fmt.Sprintf("name%d", i), now+day+core.Millis(i))
	}
	if note := expiryNote(many, now); note == nil || strings.Count(note.Text, "name") != 1 || !strings.Contains(note.Text, "50 users") {
		t.Errorf("%+v", note)
	}
}
