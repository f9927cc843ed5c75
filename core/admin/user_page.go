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
	return func(yield func(core.UserPage, error) bool) {
		for left := r.Limit; ; {
			page, err := fetch(ctx, r)
			if !yield(page, err) || err != nil || page.Next == "" {
				return
			}
			if left > 0 {
				if left -= len(page.Users); left <= 0 {
					return
				}
				r.Limit = left
			}
			r.After, r.Offset, r.Around = page.Next, 0, ""
		}
	}
}

// AllUsers are all users, page after page.
func AllUsers(ctx context.Context, fetch func(context.Context, core.UserPageRequest) (core.UserPage, error)) ([]core.User, error) {
	all := []core.User{}
	for page, err := range UserPages(ctx, fetch, core.UserPageRequest{}) {
		if err != nil {
			return nil, err
		}
		all = append(all, page.Users...)
	}
	return all, nil
}
