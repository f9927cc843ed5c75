package cli

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// TestHiddenLine: the line that a person types unseen can be corrected, and given up.
func TestHiddenLine(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"secret\r": "secret", "secret\n": "secret", "sex\x7fcret\r": "secret", "größ\x7f\x7fün\r": "grün",
		"wrong\x15right\r": "right", "\x7f\x08a\r": "a", "a\x04b\r": "ab", "\r": "",
	} {
		if got, err := readHidden(strings.NewReader(typed)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
	for typed, want := range map[string]error{"sec\x03": errInterrupted, "\x04": io.EOF, "no end": io.EOF} {
		if got, err := readHidden(strings.NewReader(typed)); !errors.Is(err, want) || got != nil {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
	if _, err := readHidden(strings.NewReader(strings.Repeat("a", maxPassphrase+1))); err == nil {
		t.Error("an endless line was taken")
	}
}
