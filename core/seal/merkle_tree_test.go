package seal

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

func leaves(n int) []Hash {
	out := make([]Hash, n)
	for i := range out {
		out[i] = hashOf("test", binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	return out
}

// rootByLevels builds the same tree in another way: level by level, an odd one carried up.
func rootByLevels(level []Hash) Hash {
	for len(level) > 1 {
		var up []Hash
		for i := 0; i+1 < len(level); i += 2 {
			up = append(up, nodeOf(level[i], level[i+1]))
		}
		if len(level)%2 == 1 {
			up = append(up, level[len(level)-1])
		}
		level = up
	}
	return level[0]
}

func TestTreeAgainstLevels(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 130; n++ {
		all, paths := leaves(n), make([][]Hash, n)
		root := growTree(all, paths)
		if root != rootByLevels(all) {
			t.Fatalf("%d leaves: another root", n)
		}
		for i, p := range paths {
			if got, fits := rootFromPath(all[i], i, n, p); !fits || got != root {
				t.Fatalf("leaf %d of %d does not lead to the root", i, n)
			}
		}
	}
}

// TestPathsLeadNowhereElse: one path is right for one leaf, index and count.
func TestPathsLeadNowhereElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		all, paths := leaves(n), make([][]Hash, n)
		root := growTree(all, paths)
		i, j := rapid.IntRange(0, n-1).Draw(t, "i"), rapid.IntRange(-2, n+2).Draw(t, "j")
		path := paths[i]
		leads := func(leaf Hash, index int, path []Hash) bool {
			got, fits := rootFromPath(leaf, index, n, path)
			return fits && got == root
		}
		if i != j && leads(all[i], j, path) {
			t.Fatalf("leaf %d of %d is taken at %d", i, n, j)
		}
		if leads(all[i], i, append(path[:len(path):len(path)], Hash{})) {
			t.Fatal("a path that is too long is taken")
		}
		if len(path) > 0 && leads(all[i], i, path[1:]) {
			t.Fatal("a path that is too short is taken")
		}
		if leads(hashOf("test"), i, path) {
			t.Fatal("another leaf is taken")
		}
	})
}
