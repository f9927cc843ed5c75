package seal

import (
	"crypto/sha256"
	"math/bits"
)

// The tree over the boxes of a record, shaped as in RFC 9162: leaves and nodes
// begin with different bytes, so that neither can stand for the other.

func leafOf(user string, kh Hash, core []byte) Hash {
	return sha256.Sum256(append(append(append(append([]byte{0}, label("leaf")...), user...), kh[:]...), sha256Of(core)...))
}

func nodeOf(l, r Hash) Hash {
	var b [1 + 2*hashSize]byte
	b[0] = 1
	copy(b[1:], l[:])
	copy(b[1+hashSize:], r[:])
	return sha256.Sum256(b[:])
}

// split is the largest power of two below n, which is at least 2.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// growTree returns the root over at least one leaf, and appends to each leaf's path the hashes that lead there.
func growTree(leaves []Hash, paths [][]Hash) Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	l, r := growTree(leaves[:k], paths[:k]), growTree(leaves[k:], paths[k:])
	for i := range paths {
		if i < k {
			paths[i] = append(paths[i], r)
		} else {
			paths[i] = append(paths[i], l)
		}
	}
	return nodeOf(l, r)
}

// rootFromPath is the root to which a path leads from the leaf at index of count;
// false if the path has the wrong length.
func rootFromPath(leaf Hash, index, count int, path []Hash) (Hash, bool) {
	if index < 0 || index >= count {
		return Hash{}, false
	}
	if count == 1 {
		return leaf, len(path) == 0
	}
	if len(path) == 0 {
		return Hash{}, false
	}
	last, k := len(path)-1, split(count)
	if index < k {
		l, ok := rootFromPath(leaf, index, k, path[:last])
		return nodeOf(l, path[last]), ok
	}
	r, ok := rootFromPath(leaf, index-k, count-k, path[:last])
	return nodeOf(path[last], r), ok
}
