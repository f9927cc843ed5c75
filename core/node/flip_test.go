package node_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
	"unibus/core/nodetest"
)

// TestVerifyFindsABitFlippedOnAFollower: while other tables are copied, one bit of
// a row turns over on the disk of a node that does not lead its bucket. The
// verification names that node and that key, and nothing can be cut over.
func TestVerifyFindsABitFlippedOnAFollower(t *testing.T) {
	t.Parallel()
	seed := sample(t)
	c := nodetest.Start(t, nodetest.Config{Seed: seed})
	c.WaitServing(core.BackendSQLite, 0)
	cl := c.Client(0, c.Admin)
	rate := max(1, (len(seed.Members)*2+len(seed.Keys))/int(cacheOf.Seconds()+8)) // the rest of the copy outlasts the server's cache
	begin(t, cl, migrate.Options{DB: resolved(t, c.Configs[0].DB), Replicas: 3, Rate: rate})
	nodetest.Wait(t, 60*time.Second, func() error {
		st, err := cl.Migration(t.Context())
		if err == nil && (len(st.Progress) == 0 || st.Progress[0].Done < st.Progress[0].Total || st.Progress[0].Total == 0) {
			err = fmt.Errorf("the users are not copied yet: %v", st.Progress)
		}
		return err
	})
	flipped := string(seed.Users[len(seed.Users)/2].ID)
	follower := followerOf(t, c, cl, core.TableUsers.Bucket())
	flipBit(t, c.Configs[follower].Data, flipped)

	st, err := resting(t, cl)
	if err != nil {
		t.Fatal(err)
	}
	if st.Error == nil || st.Verified || st.State != migrate.StateVerify {
		t.Fatalf("%s, verified %v, with a bit flipped on %s: %v", st.State, st.Verified, c.Configs[follower].Name, st.Error)
	}
	found := st.Buckets[0]
	want := c.Configs[follower].Name + "/" + flipped
	if keys := append(found.Missing, found.Different...); len(keys) != 1 || keys[0] != want {
		t.Errorf("missing %v, different %v; want %s (%v)", found.Missing, found.Different, want, st.Error)
	}
	if _, err := cl.MigrateCutover(t.Context(), "n1"); core.KindOf(err) != core.KindRefused {
		t.Errorf("the cutover: %v", err)
	}
}

// cacheOf is for how long a server keeps a block in memory that was just written, sound there.
const cacheOf = 10 * time.Second

func followerOf(t *testing.T, c *nodetest.Cluster, cl *admin.Client, bucket string) int {
	t.Helper()
	status, err := nodetest.Status(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range status.Buckets {
		for i, n := range c.Configs {
			if b.Name == bucket && b.Leader != "" && n.Name != b.Leader {
				return i
			}
		}
	}
	t.Fatalf("nobody follows %s", bucket)
	return 0
}

// flipBit turns one bit over in the stored value of a user.
func flipBit(t *testing.T, data, user string) {
	t.Helper()
	subject := []byte("$KV." + core.TableUsers.Bucket() + "." + user)
	hits := 0
	err := filepath.WalkDir(data, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".blk") || !strings.Contains(path, core.TableUsers.Bucket()) {
			return err
		}
		block, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		at := bytes.LastIndex(block, subject)
		if at < 0 {
			return nil
		}
		value := bytes.Index(block[at:], []byte(`"v":1`))
		if value < 0 {
			return nil
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		place := at + value + len(`"v":1,"`)
		_, err = f.WriteAt([]byte{block[place] ^ 1}, int64(place))
		hits++
		return err
	})
	if err != nil || hits == 0 {
		t.Fatalf("flipped %d bits: %v", hits, err)
	}
}

// resting waits until nothing works at the move, however it ended.
func resting(t *testing.T, cl *admin.Client) (st migrate.Status, err error) {
	t.Helper()
	nodetest.Wait(t, 60*time.Second, func() error {
		if st, err = cl.Migration(t.Context()); err == nil && st.Running {
			err = fmt.Errorf("%s", st.State)
		}
		return err
	})
	return st, err
}
