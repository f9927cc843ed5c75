package control

import (
	"bytes"
	"encoding/json"
	"io"
	"unicode/utf8"

	"unibus/core"
)

// decode reads a request strictly: one document of UTF-8 of this version,
// without unknown fields and without anything after it. KindInvalid.
func decode[Req any](body []byte) (Req, error) {
	var req Req
	if !utf8.Valid(body) {
		return req, core.Errorf(core.KindInvalid, "the request is not UTF-8")
	}
	var outer request
	if err := strictly(body, &outer); err != nil {
		return req, err
	}
	if outer.V != Version {
		return req, core.Errorf(core.KindInvalid, "the request has version %d, and this node speaks %d", outer.V, Version).
			WithNext("use a client of the nodes' own version")
	}
	if len(outer.Req) == 0 {
		return req, nil
	}
	return req, strictly(outer.Req, &req)
}

func strictly(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return core.Errorf(core.KindInvalid, "the request cannot be read: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF { //nolint:errorlint // a Decoder gives it bare
		return core.Errorf(core.KindInvalid, "the request has something behind its end")
	}
	return nil
}

// paged cuts the page after p.After out of a list in key order. It ends before
// it grows too large for a message: at least one entry is always in it.
func paged[T, Out any](all []T, p Page, key func(T) string, show func(T) Out) (page []Out, next string) {
	if p.Limit <= 0 || p.Limit > PageSize {
		p.Limit = PageSize
	}
	page, size := []Out{}, 0
	last := ""
	for _, v := range all {
		if key(v) <= p.After && p.After != "" {
			continue
		}
		entry := show(v)
		b, _ := json.Marshal(entry) // plain values
		if size += len(b); len(page) == p.Limit || len(page) > 0 && size > maxPage {
			return page, last
		}
		page, last = append(page, entry), key(v)
	}
	return page, ""
}
