package request

import (
	"bytes"
	"encoding/json"
	"io"
	"unicode/utf8"

	"unibus/core"
)

// Decode reads a request strictly: one document of UTF-8, without unknown fields
// and without anything after it. KindInvalid.
func Decode(body []byte, into any) error {
	if !utf8.Valid(body) {
		return core.Errorf(core.KindInvalid, "the request is not UTF-8")
	}
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
