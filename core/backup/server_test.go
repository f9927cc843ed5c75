package backup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"unibus/core"
)

const (
	mine   = "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"
	second = "ssssssssssssssssssssssssssssssss"
	third  = "tttttttttttttttttttttttttttttttt"
)

func ana() core.Operator { return core.Operator{Key: "UA", Name: "ana", Role: core.OperatorAdmin} }
func bob() core.Operator { return core.Operator{Key: "UB", Name: "bob", Role: core.OperatorAdmin} }

// newTestServer makes files of n bytes: 0, 1, 2, …
func newTestServer(t *testing.T, n int) (*Server, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backups")
	d := NewServer(ServerConfig{Node: "n1", Dir: dir, Make: func(_ context.Context, path string, rows func(int)) (core.Backup, error) {
		rows(7)
		return core.Backup{Bytes: int64(n)}, os.WriteFile(path, counting(n), 0o600)
	}})
	must(t, d.Open(t.Context()))
	t.Cleanup(func() { must(t, d.Close()) })
	return d, dir
}

func counting(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i % 251)
	}
	return data
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err error, kind core.Kind, texts ...string) {
	t.Helper()
	if core.KindOf(err) != kind {
		t.Errorf("%v is %q, want %q", err, core.KindOf(err), kind)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%v does not say %q", err, text)
		}
	}
}

// empty sees that nothing of a backup lies in the Server's directory.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) || len(entries) > 0 {
		t.Errorf("%s holds %v, %v", dir, entries, err)
	}
}

func take(t *testing.T, d *Server, by core.Operator, token string) {
	t.Helper()
	_, err := d.Create(t.Context(), by, token)
	must(t, err)
}

func part(t *testing.T, d *Server, by core.Operator, req core.BackupPartRequest) (core.BackupPart, error) {
	t.Helper()
	return d.Part(t.Context(), by, req)
}

func TestPartsMakeTheFile(t *testing.T) {
	t.Parallel()
	const size = 2*partBytes + 3
	d, dir := newTestServer(t, size)
	take(t, d, ana(), mine)
	empty(t, dir) // it has no name any more: kill -9 leaves nothing
	var got []byte
	for len(got) < size {
		p, err := part(t, d, ana(), core.BackupPartRequest{Token: mine, Offset: int64(len(got))})
		must(t, err)
		if len(p.Data) > partBytes || len(p.Data) == 0 {
			t.Fatalf("a part of %d bytes", len(p.Data))
		}
		got = append(got, p.Data...)
	}
	if string(got) != string(counting(size)) {
		t.Error("the parts are not the file")
	}
	again, err := part(t, d, ana(), core.BackupPartRequest{Token: mine, Offset: size - 3})
	if err != nil || len(again.Data) != 3 {
		t.Errorf("the last part again: %d bytes, %v", len(again.Data), err)
	}
	for _, offset := range []int64{-1, size, size + 1, 1 << 62} {
		_, err := part(t, d, ana(), core.BackupPartRequest{Token: mine, Offset: offset})
		wantKind(t, err, core.KindInvalid, "no byte")
	}
	_, err = part(t, d, ana(), core.BackupPartRequest{Token: mine, End: true})
	must(t, err)
	_, err = part(t, d, ana(), core.BackupPartRequest{Token: mine})
	wantKind(t, err, core.KindNotFound)
}

// TestPartsAreTheCallersAlone: another caller who learns a token reads nothing of the backup, and
// cannot end it.
func TestPartsAreTheCallersAlone(t *testing.T) {
	t.Parallel()
	d, _ := newTestServer(t, 10)
	take(t, d, ana(), mine)
	for _, req := range []core.BackupPartRequest{{Token: mine}, {Token: mine, Look: true}, {Token: mine, End: true}} {
		_, err := part(t, d, bob(), req)
		wantKind(t, err, core.KindNotFound)
	}
	for _, token := range []string{"", second, "../" + mine} {
		_, err := part(t, d, ana(), core.BackupPartRequest{Token: token})
		wantKind(t, err, core.KindNotFound)
	}
	_, err := d.Create(t.Context(), bob(), mine)
	wantKind(t, err, core.KindExists)
	p, err := part(t, d, ana(), core.BackupPartRequest{Token: mine})
	if err != nil || len(p.Data) != 10 {
		t.Errorf("%d bytes, %v", len(p.Data), err)
	}
	for _, token := range []string{"", "short", strings.Repeat("x", 65), "../" + mine, strings.Repeat("ü", 20)} {
		_, err := d.Create(t.Context(), ana(), token)
		wantKind(t, err, core.KindInvalid)
	}
}

func TestDeskTakesTwoAtATime(t *testing.T) {
	t.Parallel()
	d, _ := newTestServer(t, 10)
	take(t, d, ana(), mine)
	take(t, d, bob(), second)
	_, err := d.Create(t.Context(), ana(), third)
	wantKind(t, err, core.KindUnavailable, "2 backups", "ana since", "bob since")
	_, err = part(t, d, bob(), core.BackupPartRequest{Token: second, End: true})
	must(t, err)
	take(t, d, ana(), third)
}

func TestForgottenAfterIdleTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, _ := newTestServer(t, 10)
		take(t, d, ana(), mine)
		for range 3 { // each question begins the time anew
			<-time.After(9 * time.Minute)
			_, err := part(t, d, ana(), core.BackupPartRequest{Token: mine})
			must(t, err)
		}
		<-time.After(10*time.Minute + time.Second)
		_, err := part(t, d, ana(), core.BackupPartRequest{Token: mine})
		wantKind(t, err, core.KindNotFound)
	})
}

// slow is a Server whose file is never finished: Make waits until it is given up.
func slow(t *testing.T) (d *Server, dir string, begun chan struct{}) {
	t.Helper()
	dir, begun = filepath.Join(t.TempDir(), "backups"), make(chan struct{})
	d = NewServer(ServerConfig{Node: "n1", Dir: dir, Make: func(ctx context.Context, path string, rows func(int)) (core.Backup, error) {
		rows(5)
		must(t, os.WriteFile(path, []byte("half"), 0o600))
		close(begun)
		<-ctx.Done()
		return core.Backup{}, ctx.Err() // and leaves the file, which it should not
	}})
	return d, dir, begun
}

func TestGivenUpWhileItIsMade(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(d *Server) error{
		"by the caller": func(d *Server) error {
			p, err := d.Part(t.Context(), ana(), core.BackupPartRequest{Token: mine, Look: true})
			if err != nil || p.Rows != 5 {
				t.Errorf("%d rows, %v", p.Rows, err)
			}
			_, err = d.Part(t.Context(), ana(), core.BackupPartRequest{Token: mine})
			wantKind(t, err, core.KindUnavailable, "being made")
			_, err = d.Part(t.Context(), ana(), core.BackupPartRequest{Token: mine, End: true})
			return err
		},
		"by the node": (*Server).Close,
	} {
		d, dir, begun := slow(t)
		ended := make(chan error, 1)
		go func() {
			_, err := d.Create(t.Context(), ana(), mine)
			ended <- err
		}()
		<-begun
		must(t, end(d))
		if err := <-ended; core.KindOf(err) != core.KindUnavailable || !strings.Contains(err.Error(), "given up") {
			t.Errorf("%s: %v", name, err)
		}
		empty(t, dir)
		must(t, d.Close())
		must(t, d.Close())
		_, err := d.Create(t.Context(), ana(), second)
		wantKind(t, err, core.KindUnavailable, "stopping")
	}
}

// TestOpenRemovesLeftovers: a node that was killed while it wrote has left its file.
func TestOpenRemovesLeftovers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "backups")
	must(t, os.MkdirAll(filepath.Join(dir, "123"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "123", "backup.db"), []byte("half"), 0o600))
	d := NewServer(ServerConfig{Node: "n1", Dir: dir})
	must(t, d.Open(t.Context()))
	empty(t, dir)
}

// TestSignedMomentIsBeforeTheRows: a change that is made while they are read may not be in
// the backup, and the moment is given as --since to find it.
func TestSignedMomentIsBeforeTheRows(t *testing.T) {
	t.Parallel()
	key := clusterKey(t)
	var begun time.Time
	made := database(t)
	content, err := Check(t.Context(), made)
	must(t, err)
	d := NewServer(ServerConfig{Node: "n1", Dir: filepath.Join(t.TempDir(), "backups"), Sign: key, Make: func(_ context.Context, path string, _ func(int)) (core.Backup, error) {
		begun = time.Now()
		for time.Since(begun) < 5*time.Millisecond { // the signature has milliseconds
			runtime.Gosched()
		}
		return core.Backup{Tables: content.Tables}, os.Rename(made, path)
	}})
	t.Cleanup(func() { must(t, d.Close()) })
	b, err := d.Create(t.Context(), ana(), mine)
	must(t, err)
	got := filepath.Join(t.TempDir(), "got.db")
	p, err := part(t, d, ana(), core.BackupPartRequest{Token: mine})
	must(t, err)
	if b.Bytes > int64(len(p.Data)) {
		t.Fatalf("%d bytes of %d", len(p.Data), b.Bytes)
	}
	must(t, os.WriteFile(got, p.Data, 0o600))
	r, err := Restore(t.Context(), got, filepath.Join(t.TempDir(), "new.db"), Expect{})
	must(t, err)
	if r.Signed == nil || r.Signed.At.After(begun) {
		t.Errorf("signed with %+v; the rows were read from %s on", r.Signed, begun)
	}
}

func TestNoBackupWithoutRoom(t *testing.T) {
	t.Parallel()
	d, _ := newTestServer(t, 10)
	d.cfg.Need = func(context.Context) (int64, error) { return 30<<20 + 1, nil }
	d.cfg.Free = func(string) (int64, error) { return 30 << 20, nil }
	d.cfg.Make = func(context.Context, string, func(int)) (core.Backup, error) {
		t.Error("it was begun")
		return core.Backup{}, nil
	}
	_, err := d.Create(t.Context(), ana(), mine)
	wantKind(t, err, core.KindRefused, "30 MB free", "31 MB")
	_, err = part(t, d, ana(), core.BackupPartRequest{Token: mine})
	wantKind(t, err, core.KindNotFound)
}
