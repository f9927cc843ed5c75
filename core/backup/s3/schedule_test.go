package s3_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"unibus/core/admin"
	"unibus/core/nodetest"
)

// TestScheduledBackupInABucket: a store that returns other bytes than it was given is
// found out, and the object removed; one that works again has the backup.
func TestScheduledBackupInABucket(t *testing.T) {
	t.Parallel()
	s, cfg := newStore(t)
	s.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, ".db") {
			return false
		}
		_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		s.mu.Lock()
		data := bytes.Clone(s.objects[key])
		s.mu.Unlock()
		data[len(data)/2] ^= 1
		w.Header().Set("ETag", `"e-1"`)
		http.ServeContent(w, r, "", time.Unix(1_700_000_000, 0), bytes.NewReader(data))
		return true
	})
	c := nodetest.Start(t, nodetest.Config{Nodes: 1, Seed: nodetest.SampleRows(t, 20), Before: func(c *nodetest.Cluster) {
		n := &c.Configs[0]
		n.BackupEvery, n.BackupKeep = "1h", 1
		n.BackupS3Endpoint, n.BackupS3Bucket, n.BackupS3Prefix = cfg.Endpoint, cfg.Bucket, cfg.Prefix
		n.BackupS3AccessKey, n.BackupS3SecretKey, n.BackupS3CA = cfg.AccessKey, cfg.SecretKey, cfg.CA
	}})
	cl := c.Client(0, c.Admin)
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := cl.Status(t.Context())
		if err != nil || st.Backups == nil || st.Backups.Failure == nil {
			return fmt.Errorf("%+v, %v", st.Backups, err)
		}
		if f := st.Backups.Failure; !strings.Contains(f.Text, "does not return the bytes") || f.Next == "" || len(st.Backups.Kept) != 0 {
			t.Errorf("%+v", st.Backups)
		}
		return nil
	})
	if objects, uploads := s.held(); objects != 1 || uploads != 0 {
		t.Errorf("after a failed rehearsal: %d objects, %d uploads", objects, uploads)
	}
	s.set(nil)
	for range 2 { // of two one stays
		asked, err := cl.BackupNow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		nodetest.Wait(t, 30*time.Second, func() error {
			st, err := cl.Status(t.Context())
			if err != nil {
				return err
			}
			made, ok, err := admin.RequestedBackup(st.View, asked)
			if err != nil || !ok || len(st.Backups.Kept) != 1 {
				return fmt.Errorf("%+v, %v", made, err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			sum := sha256.Sum256(s.objects["unibus/"+made.Name])
			if hex.EncodeToString(sum[:]) != made.SHA256 || made.Rows == 0 || len(s.objects) != 2 {
				t.Errorf("%+v, and %d objects", made, len(s.objects))
			}
			return nil
		})
	}
}
