package bus

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/logtest"
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

// TestReloadedWaitsForFilesThatRest: a file that is written all the time is not read, which
// is a fault after a while, and one that is only touched is not news.
func TestReloadedWaitsForFilesThatRest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "value")
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, time.Time{}, at); err != nil {
			t.Fatal(err)
		}
	}
	loads, during := 0, func() {}
	load := func(string) (string, error) {
		loads++
		text, err := os.ReadFile(path)
		during()
		return string(text), err
	}
	log := &logtest.Buffer{}
	s := &Server{cfg: Config{CertCheck: time.Hour}, log: slog.New(slog.NewTextHandler(log, nil))}
	write("whole", time.Minute)
	r, err := newReloaded(s, reloadedFile[string]{name: "a new value", path: path, load: load, describe: func(v string) slog.Attr { return slog.String("value", v) }})
	if err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		r.checked = time.Time{}
		if got := r.current(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for i := range 20 {
		write("ha"+strings.Repeat("l", i%3), 0)
		check("whole")
	}
	if loads != 1 || log.String() != "" {
		t.Errorf("a file that is written all the time was read %d times: %s", loads, log)
	}
	r.changes = time.Now().Add(-changingLong)
	write("half", 0)
	check("whole")
	if f := r.fault; f.Reason != "it changes all the time" || strings.Count(log.String(), "level=ERROR") != 1 {
		t.Errorf("the fault is %+v, the log %s", f, log)
	}
	check("half") // the same at two checks
	if r.fault.Reason != "" || !strings.Contains(log.String(), "value=half") {
		t.Errorf("the fault is %+v, the log %s", r.fault, log)
	}
	lines := strings.Count(log.String(), "\n")
	for i := range 5 {
		write("half", time.Duration(i+1)*time.Minute)
		check("half")
	}
	if got := strings.Count(log.String(), "\n"); got != lines {
		t.Errorf("a file that was only touched is logged:\n%s", log)
	}
	during = func() { write("whole again", 2*time.Hour); during = func() {} }
	write("hal", time.Hour)
	check("half") // it changed while it was read
	check("whole again")
}
