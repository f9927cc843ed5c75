package admin

import (
	"context"
	"iter"

	"unibus/core"
)

func (s *Service) userPage(ctx context.Context, _ core.Operator, r core.UserPageRequest) (any, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	st, err := s.cfg.Store.Store()
	if err != nil {
		return nil, err
	}
	r.LastSeen = s.cfg.Cluster.LastSeen()
	return st.UserPage(ctx, r, s.cfg.Now())
}

// UserPage is one page of the users that a query selects. KindInvalid for a request that
// core.UserPageRequest.Check refuses.
func (c *Client) UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error) {
	if err := r.Check(); err != nil {
		return core.UserPage{}, err
	}
	return call[core.UserPage](ctx, c, TargetAny, verbUserPage, r)
}

// UserPages yields page after page of a query, each asked for when the one before was
// taken. An error is the last thing that comes.
func UserPages(ctx context.Context, fetch func(context.Context, core.UserPageRequest) (core.UserPage, error), r core.UserPageRequest) iter.Seq2[core.UserPage, error] {
	return pages(ctx, fetch, r, func(p core.UserPage, r *core.UserPageRequest) bool {
		r.Offset, r.Around, r.Named = 0, "", nil
		return continueAfter(p.Next, len(p.Users), &r.After, &r.Limit)
	})
}

// AllUsers are all users, page after page.
func AllUsers(ctx context.Context, fetch func(context.Context, core.UserPageRequest) (core.UserPage, error)) ([]core.User, error) {
	return collect(UserPages(ctx, fetch, core.UserPageRequest{}), func(p core.UserPage) []core.User { return p.Users })
}
