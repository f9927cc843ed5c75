package keys_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"unibus/core"
	"unibus/core/keys"
)

func clusterPublic(t *testing.T) string {
	t.Helper()
	_, id, err := keys.GenerateCluster()
	if err != nil {
		t.Fatal(err)
	}
	return id.Public()
}

func TestKnownClusters(t *testing.T) {
	t.Parallel()
	k := keys.KnownClusters{Path: filepath.Join(t.TempDir(), "unibus", "known_clusters")}
	a, b := clusterPublic(t), clusterPublic(t)
	if key, err := k.Key([]string{"tls://n1.example.org"}); key != "" || err != nil {
		t.Fatalf("%q, %v", key, err)
	}
	if err := k.Pin([]string{"tls://N1.example.org", "nats://n2.example.org:4333"}, a); err != nil {
		t.Fatal(err)
	}
	if err := k.Pin([]string{"tls://n1.example.org", "tls://[::1]:7"}, b); err != nil { // the first is known already, and stays
		t.Fatal(err)
	}
	for server, want := range map[string]string{"nats://n1.example.org:4222": a, "tls://n2.example.org:4333": a, "tls://[::1]:7": b, "tls://n2.example.org": ""} {
		if key, err := k.Key([]string{server}); key != want || err != nil {
			t.Errorf("%s: %q, %v", server, key, err)
		}
	}
	if _, err := k.Key([]string{"tls://n1.example.org", "tls://[::1]:7"}); core.KindOf(err) != core.KindRefused {
		t.Errorf("nodes of two clusters: %v", err)
	}
	if st, err := os.Stat(k.Path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if got, err := k.Forget(a); len(got) != 2 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := k.Forget("n1.example.org:4222"); core.KindOf(err) != core.KindNotFound {
		t.Error(err)
	}
	if all, err := k.All(); len(all) != 1 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if _, err := (keys.KnownClusters{Path: os.DevNull}).Forget(a); core.KindOf(err) != core.KindNotFound {
		t.Errorf("%s forgets a key that it never knew: %v", os.DevNull, err)
	}
}

// TestKnownClustersKeepsWhatOthersWrote: two programs pin at once, and a person's comments stay.
func TestKnownClustersKeepsWhatOthersWrote(t *testing.T) {
	t.Parallel()
	k := keys.KnownClusters{Path: filepath.Join(t.TempDir(), "known_clusters")}
	if err := os.WriteFile(k.Path, []byte("# mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := clusterPublic(t)
	var work sync.WaitGroup
	for _, port := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
		work.Go(func() {
			if err := k.Pin([]string{"tls://n1:" + port}, key); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if all, err := k.All(); len(all) != 8 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if data, err := os.ReadFile(k.Path); err != nil || !strings.HasPrefix(string(data), "# mine\n") {
		t.Errorf("%q, %v", data, err)
	}
}

func TestKnownClustersRefuses(t *testing.T) {
	t.Parallel()
	k := keys.KnownClusters{Path: filepath.Join(t.TempDir(), "known_clusters")}
	for _, text := range []string{"n1:4222\n", "n1:4222 UX\n", "n1:4222 " + clusterPublic(t) + " x\n", "\x00\n"} {
		if err := os.WriteFile(k.Path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := k.Key([]string{"tls://n1"})
		wantInvalid(t, text, err)
		wantInvalid(t, text, k.Pin([]string{"tls://n2"}, clusterPublic(t)))
		if after, err := os.ReadFile(k.Path); err != nil || string(after) != text {
			t.Errorf("%q became %q", text, after)
		}
	}
	none := keys.KnownClusters{Path: os.DevNull}
	if err := none.Pin([]string{"tls://n1"}, clusterPublic(t)); err != nil {
		t.Error(err)
	}
	_, err := none.Key([]string{"://"})
	wantInvalid(t, "no URL", err)
}

func wantInvalid(t *testing.T, what string, err error) {
	t.Helper()
	if core.KindOf(err) != core.KindInvalid {
		t.Errorf("%q: %v", what, err)
	}
}
