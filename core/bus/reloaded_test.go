package bus

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
)

// A changed file replaces the value, and a file that cannot be used leaves the last
// good one, which the next load receives.
func TestReloadedKeepsTheLastGoodValue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "value")
	stamp := time.Now()
	write := func(text string) {
		t.Helper()
		stamp = stamp.Add(time.Hour) // whatever the clock's grain
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, stamp); err != nil {
			t.Fatal(err)
		}
	}
	load := func(last string) (string, error) {
		text, err := os.ReadFile(path)
		if err == nil && string(text) == "bad" {
			err = core.Errorf(core.KindInvalid, "bad")
		}
		return last + string(text), err
	}
	source := reloadedFile[string]{name: "a new value", path: path, load: load, describe: func(v string) slog.Attr { return slog.String("value", v) }}
	s := &Server{cfg: Config{CertCheck: time.Nanosecond}, log: slog.New(slog.DiscardHandler)}
	if _, err := newReloaded(s, source); err == nil {
		t.Error("a missing file was loaded")
	}
	write("a")
	r, err := newReloaded(s, source)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ write, want string }{{"", "a"}, {"b", "ab"}, {"bad", "ab"}, {"", "ab"}, {"c", "abc"}} {
		if step.write != "" {
			write(step.write)
		}
		if got := r.current(); got != step.want {
			t.Errorf("after %q: %q, want %q", step.write, got, step.want)
		}
	}
	if got := (*reloaded[string])(nil).current(); got != "" {
		t.Errorf("a nil value is %q", got)
	}
}
