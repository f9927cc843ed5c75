package admin

import (
	"context"
	"iter"
)

// pages yields page after page of a list. next changes the request into that for the page
// after one, and is false after the last.
func pages[R, P any](ctx context.Context, fetch func(context.Context, R) (P, error), first R, next func(P, *R) bool) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		for r := first; ; {
			page, err := fetch(ctx, r)
			if !yield(page, err) || err != nil || !next(page, &r) {
				return
			}
		}
	}
}

// continueAfter sets cursor and limit of the request after a page that has n rows; a limit is that
// of all pages together.
func continueAfter(cursor string, n int, after *string, limit *int) bool {
	if *limit > 0 {
		if *limit -= n; *limit <= 0 {
			return false
		}
	}
	*after = cursor
	return cursor != ""
}

// collect returns the rows of all pages.
func collect[P, T any](pages iter.Seq2[P, error], rows func(P) []T) ([]T, error) {
	all := []T{}
	for page, err := range pages {
		if err != nil {
			return nil, err
		}
		all = append(all, rows(page)...)
	}
	return all, nil
}
