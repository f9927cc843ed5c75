//go:build nemesis && linux

package nemesis

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/nodetest"
)

// TestDamagedBlockHeals turns over one bit of a stored user while a node is down.
// At its next start the node finds the damage and takes the user from its peers.
func TestDamagedBlockHeals(t *testing.T) {
	n := nodetest.StartNet(t, programs.Program(t, "unibusd"), nodetest.Config{Store: core.BackendKV})
	n.WaitServing(core.BackendKV)
	cl := n.Client(0)
	var ids []core.UserID
	for range 20 {
		u, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public()), Role: core.RoleMember})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	const damaged = 2
	n.Stop(damaged)
	sound := storedUser(t, n.Configs[damaged].Data, ids[10])
	if len(sound) == 0 {
		t.Fatal("the user is not in the node's blocks")
	}
	turnOverBit(t, n.Configs[damaged].Data, sound)
	if storedUser(t, n.Configs[damaged].Data, ids[10]) != nil {
		t.Fatal("the user is not damaged")
	}
	n.Start(damaged)
	n.WaitServing(core.BackendKV, damaged)
	nodetest.Wait(t, time.Minute, func() error {
		if got := storedUser(t, n.Configs[damaged].Data, ids[10]); !bytes.Equal(got, sound) {
			return fmt.Errorf("the user is not sound on %s", n.Configs[damaged].Name)
		}
		st, err := nodetest.Status(t.Context(), cl)
		if err != nil {
			return err
		}
		return nodetest.CheckReplicated(st, len(n.Configs))
	})
}

// roleField is what the stored value of a user begins with.
const roleField = `{"v":1,"role":"member"`

// blocksOf are the files that hold the users of a node.
func blocksOf(t *testing.T, data string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "jetstream", "*", "streams", "KV_"+core.TableUsers.Bucket(), "msgs", "*.blk"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no blocks below %s: %v", data, err)
	}
	return files
}

// storedUser is an undamaged message of the user, from its subject to its end; nil if there is none.
func storedUser(t *testing.T, data string, id core.UserID) []byte {
	t.Helper()
	for _, file := range blocksOf(t, data) {
		block, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		began := bytes.LastIndex(block, []byte("$KV."+core.TableUsers.Bucket()+"."+string(id)))
		if began < 0 {
			continue
		}
		length := bytes.IndexByte(block[began:], '}')
		if length >= 0 && bytes.Contains(block[began:began+length], []byte(roleField)) {
			return block[began : began+length+1]
		}
	}
	return nil
}

// turnOverBit changes one bit of the role in a message that a node has stored.
func turnOverBit(t *testing.T, data string, message []byte) {
	t.Helper()
	for _, file := range blocksOf(t, data) {
		block, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(block, message); at >= 0 {
			block[at+bytes.Index(message, []byte(roleField))+len(roleField)-2] ^= 1
			if err := os.WriteFile(file, block, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
