package backup

import (
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
)

// TestUploadTakesOneWholeFile: parts in order, each as often as it is sent; nothing of another
// caller, of another size, or beyond the disk.
func TestUploadTakesOneWholeFile(t *testing.T) {
	t.Parallel()
	free := int64(1 << 20)
	u := &upload{dir: filepath.Join(t.TempDir(), "restoring"), free: func(string) (int64, error) { return free, nil }}
	ana, eve := core.Operator{Name: "ana", Key: "UANA"}, core.Operator{Name: "eve", Key: "UEVE"}
	mine, other := strings.Repeat("a", 40), strings.Repeat("b", 40)
	const sum = "b9c950640e1b3740e98acb93e669c65766f6670dd1609ba91ff41052ba48c6f3" // of password1234
	for _, c := range []struct {
		name string
		by   core.Operator
		req  core.RestorePartRequest
		size int64
		kind core.Kind
	}{
		{"a short token", ana, core.RestorePartRequest{Token: "short", Total: 12}, 0, core.KindInvalid},
		{"from the middle", ana, core.RestorePartRequest{Token: mine, Offset: 4, Total: 12, Data: []byte("word")}, 0, core.KindNotFound},
		{"of no size", ana, core.RestorePartRequest{Token: mine, Data: []byte("pass")}, 0, core.KindInvalid},
		{"beyond the size", ana, core.RestorePartRequest{Token: mine, Total: 3, Data: []byte("pass")}, 0, core.KindInvalid},
		{"a negative offset", ana, core.RestorePartRequest{Token: mine, Offset: -1, Total: 12}, 0, core.KindInvalid},
		{"more than is free", ana, core.RestorePartRequest{Token: mine, Total: 1 << 20, Data: []byte("pass")}, 0, core.KindRefused},
		{"the first part", ana, core.RestorePartRequest{Token: mine, Total: 12, Data: []byte("pass")}, 4, ""},
		{"the first part again", ana, core.RestorePartRequest{Token: mine, Total: 12, Data: []byte("pass")}, 4, ""},
		{"another caller", eve, core.RestorePartRequest{Token: other, Total: 12, Data: []byte("evil")}, 0, core.KindUnavailable},
		{"another caller with the token", eve, core.RestorePartRequest{Token: mine, Offset: 4, Total: 12, Data: []byte("evil")}, 0, core.KindUnavailable},
		{"a gap", ana, core.RestorePartRequest{Token: mine, Offset: 8, Total: 12, Data: []byte("1234")}, 4, core.KindInvalid},
		{"another size", ana, core.RestorePartRequest{Token: mine, Offset: 4, Total: 16, Data: []byte("word")}, 4, core.KindInvalid},
		{"the rest", ana, core.RestorePartRequest{Token: mine, Offset: 4, Total: 12, Data: []byte("word1234")}, 12, ""},
	} {
		if c.name == "the rest" {
			if _, err := u.acquire(ana, core.RestoreRequest{Token: mine, SHA256: sum}); core.KindOf(err) != core.KindInvalid {
				t.Errorf("a file that is not whole: %v", err)
			}
		}
		size, err := u.add(c.by, c.req)
		if size != c.size || core.KindOf(err) != c.kind {
			t.Errorf("%s: %d bytes, %v; want %d, %q", c.name, size, err, c.size, c.kind)
		}
	}
	if _, err := u.acquire(eve, core.RestoreRequest{Token: mine, SHA256: sum}); core.KindOf(err) != core.KindNotFound {
		t.Errorf("of another caller: %v", err)
	}
	if _, err := u.acquire(ana, core.RestoreRequest{Token: mine, SHA256: strings.Repeat("0", 64)}); core.KindOf(err) != core.KindFailed {
		t.Errorf("with another sum: %v", err)
	}
	if _, err := u.acquire(ana, core.RestoreRequest{Token: mine, SHA256: sum}); err != nil {
		t.Error(err)
	}
	if _, err := u.add(eve, core.RestorePartRequest{Token: other, Total: 12, Data: []byte("evil")}); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("while it is restored: %v", err)
	}
	u.release()
	if _, err := u.add(eve, core.RestorePartRequest{Token: other, Total: 4, Data: []byte("good")}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
