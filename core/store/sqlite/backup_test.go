package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

// TestBackupSQLiteCreatesConsistentCopy: writers rekey rooms all the time. A
// room of epoch e has exactly e boxes at every moment, and so in every backup.
func TestBackupSQLiteCreatesConsistentCopy(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	s := create(t, path)
	_, err := s.Import(t.Context(), storetest.TwoRooms(t))
	must(t, err)
	owner := storetest.NewUser(t, "owner")
	must(t, s.AddUser(t.Context(), owner))

	const writers, backups = 3, 5
	var stores [writers]*Store
	for i := range stores {
		stores[i] = opened(t, Config{Path: path})
	}
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	var commits atomic.Int64
	t.Cleanup(func() { stop(); done.Wait() }) // runs before the stores are closed
	for i := range writers {
		room := storetest.NewRoom(core.RoomID(fmt.Sprintf("w%d", i)), owner.ID)
		must(t, s.CreateRoom(t.Context(), room))
		own := stores[i]
		done.Go(func() {
			for e := core.Epoch(0); ctx.Err() == nil; e++ {
				k := storetest.NewKey(room.ID, e+1, owner.ID)
				k.Box = make([]byte, 3000)
				if _, err := storetest.Rekey(context.Background(), own, room.ID, e, []core.SealedKey{k}); err != nil {
					t.Errorf("a writer was stopped: %v", err)
					return
				}
				commits.Add(1)
			}
		})
	}
	for i := range backups {
		for seen := commits.Load(); commits.Load() < seen+2*writers && !t.Failed(); { // the backup meets writers at work
			if _, err := s.Counts(t.Context()); err != nil {
				t.Error(err)
			}
		}
		target := filepath.Join(t.TempDir(), fmt.Sprintf("backup-%d.db", i))
		info, err := s.Backup(t.Context(), target)
		must(t, err)
		checkBackup(t, info, target)
	}
}

func checkBackup(t *testing.T, info BackupInfo, target string) {
	t.Helper()
	checkFileSum(t, info)
	if info.Path != target {
		t.Errorf("path %q", info.Path)
	}
	stat, err := os.Stat(target)
	must(t, err)
	if stat.Mode() != 0o600 {
		t.Errorf("mode %v", stat.Mode())
	}
	copied := opened(t, Config{Path: target, ReadOnly: true})
	must(t, copied.Integrity(t.Context()))
	got, err := storetest.Export(t.Context(), copied)
	must(t, err)
	boxes := map[core.RoomID]core.Epoch{}
	for _, k := range got.Keys {
		boxes[k.Room]++
	}
	rooms, epochs := 0, core.Epoch(0)
	for _, r := range got.Rooms {
		if r.ID[0] != 'w' {
			continue
		}
		rooms, epochs = rooms+1, epochs+r.Epoch
		if boxes[r.ID] != r.Epoch {
			t.Errorf("the room %s is at epoch %d with %d boxes", r.ID, r.Epoch, boxes[r.ID])
		}
	}
	if rooms != 3 || epochs == 0 || len(got.Users) != 5 {
		t.Errorf("%d rooms, %d rekeys, %d users", rooms, epochs, len(got.Users))
	}
}

func checkFileSum(t *testing.T, info BackupInfo) {
	t.Helper()
	b, err := os.ReadFile(info.Path)
	must(t, err)
	sum := sha256.Sum256(b)
	if info.SHA256 != hex.EncodeToString(sum[:]) || info.Bytes != int64(len(b)) {
		t.Errorf("the file is not what was told: %+v", info)
	}
}

func TestBackupIsTheSame(t *testing.T) {
	t.Parallel()
	s := create(t, dbPath(t))
	_, err := s.Import(t.Context(), storetest.TwoRooms(t))
	must(t, err)
	info, err := s.Backup(t.Context(), filepath.Join(t.TempDir(), "b.db"))
	must(t, err)
	want, err := s.Fingerprint(t.Context())
	must(t, err)
	got, err := opened(t, Config{Path: info.Path, ReadOnly: true}).Fingerprint(t.Context())
	if err != nil || got != want {
		t.Errorf("fingerprint %s, %v, want %s", got, err, want)
	}
}

func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	s := create(t, dbPath(t))
	dir := t.TempDir()
	there := filepath.Join(dir, "there.db")
	for _, content := range []string{"", "precious"} {
		must(t, os.WriteFile(there, []byte(content), 0o600))
		_, err := s.Backup(t.Context(), there)
		wantKind(t, err, core.KindExists, there)
		if b, err := os.ReadFile(there); err != nil || string(b) != content {
			t.Errorf("the target was changed: %q, %v", b, err)
		}
	}
	_, err := s.Backup(t.Context(), s.Path())
	wantKind(t, err, core.KindExists)
	_, err = s.Backup(t.Context(), "")
	wantKind(t, err, core.KindInvalid)
	_, err = s.Backup(t.Context(), filepath.Join(dir, "no", "b.db"))
	if core.KindOf(err) != core.KindFailed || core.AsError(err).Next == "" {
		t.Errorf("a directory that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	left := filepath.Join(dir, "left.db")
	_, err = s.Backup(ctx, left)
	wantKind(t, err, core.KindUnavailable)
	if _, err := os.Stat(left); err == nil {
		t.Error("a backup that failed was left behind")
	}
	must(t, s.Close())
	_, err = s.Backup(t.Context(), left)
	wantKind(t, err, core.KindUnavailable, "closed")
}
