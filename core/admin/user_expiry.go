package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

// userExtend gives a user another end. It activates no user: a revoked user stays
// revoked.
func (s *Service) userExtend(ctx context.Context, op core.Operator, req extendRequest) (any, error) {
	if err := core.CheckNewExpiry(req.Expires, s.cfg.Now()); err != nil {
		return nil, err
	}
	st, id, err := s.storeAndUser(req.ID)
	if err != nil {
		return nil, err
	}
	u, err := st.SetUserExpiry(ctx, id, req.Expires, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	if u.IsActive(s.cfg.Now()) {
		s.cfg.Bus.UserChanged(ctx, st, u)
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("extended user %s%s", id.Short(), cmp.Or(untilText(req.Expires), ", without an end")))
	return u, nil
}

// untilText is the end of a user for an event; "" without one.
func untilText(expires core.Millis) string {
	if expires == 0 {
		return ""
	}
	return " until " + expires.Time().Format(time.RFC3339)
}

// expiryShown is the field of a request with a user's end for the audit.
func expiryShown(v json.RawMessage) string {
	n, err := strconv.ParseInt(string(v), 10, 64)
	switch {
	case err != nil || core.CheckExpiry(core.Millis(n)) != nil:
		return auditedValue(v)
	case n == 0:
		return "never"
	}
	return core.Millis(n).Time().Format(time.RFC3339)
}

const (
	userEndSoon = 14 * 24 * time.Hour // how long before its end a user is in the note
	maxNoteName = 40                  // runes of a user's name in the note
)

// expiryNote tells of active users whose time is over soon, nil where there is none.
// users are those with an end.
func expiryNote(users []core.User, now core.Millis) *cluster.Finding {
	soon := slices.DeleteFunc(slices.Clone(users), func(u core.User) bool {
		return !u.IsActive(now) || u.Expires > now+core.Millis(userEndSoon.Milliseconds())
	})
	if len(soon) == 0 {
		return nil
	}
	first := slices.MinFunc(soon, func(a, b core.User) int {
		return cmp.Or(cmp.Compare(a.Expires, b.Expires), cmp.Compare(a.ID, b.ID))
	})
	on := first.Expires.Time().Format(time.DateOnly)
	text := fmt.Sprintf("%d users end within 14 days; the first is %s on %s.", len(soon), nameInNote(first), on)
	if len(soon) == 1 {
		text = fmt.Sprintf("1 user ends within 14 days: %s on %s.", nameInNote(first), on)
	}
	return &cluster.Finding{
		Level: cluster.Note, About: "users", Text: text,
		Next: fmt.Sprintf("`unibusd user list` shows the ends; `unibusd user extend %s --expires 90d` gives %s more time", first.ID, nameInNote(first)),
	}
}

// nameInNote is a user's name, or the short id without one that can be shown.
func nameInNote(u core.User) string {
	if u.Name == nil || len([]rune(*u.Name)) > maxNoteName || core.ShownName(*u.Name) != *u.Name {
		return u.ID.Short()
	}
	return *u.Name
}
