package nodetest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"unibus/core"
)

// FlipBit flips one bit of the stored value of a key, in the files of one node: its
// server finds the damage once it reads them again, and leaves the key out.
func FlipBit(t testing.TB, data string, table core.Table, key string) {
	t.Helper()
	subject := []byte("$KV." + table.Bucket() + "." + key)
	hits := 0
	err := filepath.WalkDir(data, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".blk") || !strings.Contains(path, "KV_"+table.Bucket()+string(filepath.Separator)) {
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
