package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/keys"
)

// TestKeptDraftsAreBounded: a node keeps so many drafts of other nodes and no more. The
// reason has no formatting error in it, where no call has failed.
func TestKeptDraftsAreBounded(t *testing.T) {
	t.Parallel()
	k := newClusterKey(nil, filepath.Join(t.TempDir(), keys.ClusterKeyFile))
	for i := range maxKept {
		if err := k.keepDraft(fmt.Sprint("SC", i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	err := k.keepDraft("SCMORE", []byte("x"))
	if core.KindOf(err) != core.KindRefused || err.Error() != "32 keys are kept already, and a node keeps no more" {
		t.Errorf("one more: %v", err)
	}
	if err := os.RemoveAll(filepath.Dir(k.path)); err != nil {
		t.Fatal(err)
	}
	if err := k.keepDraft("SCMORE", []byte("x")); core.KindOf(err) != core.KindFailed || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the directory: %v", err)
	}
}

func TestFewNodesKeepTheKey(t *testing.T) {
	t.Parallel()
	want := "the cluster's key is not recorded yet: 1 of 3 nodes keep it, and 2 are needed"
	if err := errFewKeep(1, 3, 2, nil); err.Error() != want || core.KindOf(err) != core.KindUnavailable {
		t.Errorf("nodes that were silent: %v", err)
	}
	if err := errFewKeep(1, 3, 2, os.ErrClosed); err.Error() != want+": "+os.ErrClosed.Error() || !errors.Is(err, os.ErrClosed) || strings.Contains(err.Error(), "%!") {
		t.Errorf("a request that was not sent: %v", err)
	}
}
