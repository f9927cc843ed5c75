package request

import (
	"encoding/json"

	"unibus/core"
)

// Page asks for the entries after a key, at most Limit (0: PageSize). A page
// may be shorter: only an empty key of the next page says that it is the last.
type Page struct {
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

const (
	// PageSize is how many entries a page has at the most.
	PageSize = 1000
	// PageBytes is how many bytes the entries of a page have at the most, encoded: well below the payload limit of 1 MiB.
	PageBytes = 512 << 10

	maxPages = 10_000
)

// Cut takes a page out of a list in key order and returns the next page's After, ""
// at the end. At least one entry is in it, whatever its size.
func Cut[T, Out any](all []T, p Page, key func(T) string, show func(T) Out) (page []Out, next string) {
	if p.Limit <= 0 || p.Limit > PageSize {
		p.Limit = PageSize
	}
	page, size, last := []Out{}, 0, ""
	for _, v := range all {
		if p.After != "" && key(v) <= p.After {
			continue
		}
		entry := show(v)
		b, _ := json.Marshal(entry) // plain values
		if size += len(b); len(page) == p.Limit || len(page) > 0 && size > PageBytes {
			return page, last
		}
		page, last = append(page, entry), key(v)
	}
	return page, ""
}

// All fetches page after page and returns the entries of all.
func All[T any](fetch func(after string) (entries []T, next string, err error)) ([]T, error) {
	all, after := []T{}, ""
	for range maxPages {
		entries, next, err := fetch(after)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
		if next == "" {
			return all, nil
		}
		after = next
	}
	return nil, core.Errorf(core.KindFailed, "the answer does not end after %d pages", maxPages)
}
