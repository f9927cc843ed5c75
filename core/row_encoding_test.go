package core

import (
	"testing"

	"pgregory.net/rapid"
)

// TestEncodedByHand: the hand-written encoding is, byte for byte, that of encoding/json.
func TestEncodedByHand(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{0,9}`), rapid.SampledFrom([]string{
		"", "nul\x00", "\x7f", "<&>", "\u2028\u2029", "\"", "\\", "\xff bad", "\t\n\r\b\f", "U🔑é", "~",
	}))
	blob := rapid.Custom(func(t *rapid.T) []byte {
		return rapid.OneOf(rapid.Just([]byte(nil)), rapid.Just([]byte{}), rapid.SliceOfN(rapid.Byte(), 1, 9)).Draw(t, "bytes")
	})
	rapid.Check(t, func(t *rapid.T) {
		optional := func(what string) *string { return rapid.Ptr(text, true).Draw(t, what) }
		at := Millis(rapid.Int64().Draw(t, "at"))
		state := MemberState(text.Draw(t, "state"))
		for _, v := range []appender{
			keyValue{rapid.Int().Draw(t, "v"), blob.Draw(t, "box"), optional("sealed_by"), at},
			memberValue{1, MemberRole(text.Draw(t, "role")), state, optional("invited_by"), blob.Draw(t, "proof"), at},
			indexValue{1, state},
		} {
			if got, want := string(v.appendTo(nil)), string(encoded(v)); got != want {
				t.Errorf("%T by hand:\n%s\nencoding/json:\n%s", v, got, want)
			}
		}
	})
}
