package core

import (
	"testing"

	"pgregory.net/rapid"
)

func TestDigestKnown(t *testing.T) {
	t.Parallel()
	empty, err := NewDigester().Sum()
	// sha256sum of nothing
	if err != nil || empty != (Digest{0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}) {
		t.Errorf("%+v, %v", empty, err)
	}
	// printf '\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\2bc' | sha256sum
	one, err := digestRows([]Row{{Key: "a", Value: []byte("bc")}})
	if err != nil || one != (Digest{1, "3fafa1cf2f19a7c1129beb20cf0983f73a489a221fc0dd2f16d1be292d089205"}) {
		t.Errorf("%+v, %v", one, err)
	}
}

// TestDigestTellsApart: no other division of the same bytes into keys and values has the same digest.
func TestDigestTellsApart(t *testing.T) {
	t.Parallel()
	seen := map[Digest]int{}
	for i, rows := range [][]Row{
		{},
		{{Key: "ab"}},
		{{Key: "a", Value: []byte("b")}},
		{{Value: []byte("ab")}},
		{{Key: "a"}, {Key: "b"}},
		{{Key: "a", Value: []byte("b")}, {Key: "b"}},
		{{Key: "a"}, {Key: "b", Value: []byte("b")}},
	} {
		d, err := digestRows(rows)
		if j, ok := seen[d]; ok || err != nil {
			t.Errorf("%d and %d have the digest %v, %v", i, j, d, err)
		}
		seen[d] = i
	}
}

// TestDigestOrder: Sum gives a digest exactly where every key is above the one before it.
func TestDigestOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.StringMatching(`[a-c.-]{0,2}`), 0, 5).Draw(t, "keys")
		d, ordered := NewDigester(), true
		for i, k := range keys {
			d.Add(k, nil)
			ordered = ordered && (i == 0 || keys[i-1] < k)
		}
		got, err := d.Sum()
		if ordered != (err == nil) || ordered && got.Count != len(keys) || !ordered && (KindOf(err) != KindFailed || got != Digest{}) {
			t.Errorf("%q: %+v, %v", keys, got, err)
		}
	})
}

// digestRows is the digest of rows that are in bytewise key order.
func digestRows(rows []Row) (Digest, error) {
	d := NewDigester()
	for _, r := range rows {
		d.Add(r.Key, r.Value)
	}
	return d.Sum()
}
