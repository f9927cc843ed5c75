package seal

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"unibus/core"
)

// sortedProofs are the proofs in the order of their rows, with rows that hold none.
func sortedProofs(rows map[core.UserID][]byte) [][]byte {
	out := [][]byte{nil}
	for _, user := range slices.Sorted(maps.Keys(rows)) {
		out = append(out, rows[user])
	}
	return append(out, []byte("a proof of another kind"))
}

// sameAnswers compares a cache with what is read without one.
func sameAnswers(t *testing.T, c *ProofCache, what string, proofs [][]byte) {
	t.Helper()
	want, wantErr := MembershipOfProofs("lobby", proofs)
	got, err := c.Membership("lobby", proofs)
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() || (got == nil) != (want == nil) {
		t.Fatalf("%s: a chain %v, %v; want %v, %v", what, got != nil, err, want != nil, wantErr)
	}
	if got != nil && (got.Mark() != want.Mark() || !bytes.Equal(got.State(), want.State()) || got.MustRekey() != want.MustRekey()) {
		t.Fatalf("%s: other members", what)
	}
	for from := range uint64(len(proofs) + 8) {
		for _, limit := range []int{1, 3, 1000} {
			if a, b := c.Statements("lobby", proofs, from, limit), StatementsOfProofs(proofs, from, limit); !slices.EqualFunc(a, b, bytes.Equal) {
				t.Fatalf("%s: %d and not %d statements from %d on", what, len(a), len(b), from)
			}
		}
		a, first, err := c.Source("lobby", proofs, from)
		b, wantFirst, wantErr := SourceOfProofs("lobby", proofs, from)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) || first != wantFirst || !bytes.Equal(a.State, b.State) || !slices.EqualFunc(a.Statements, b.Statements, bytes.Equal) {
			t.Fatalf("%s: the source up to %d begins with %d (%v), want %d (%v)", what, from, first, err, wantFirst, wantErr)
		}
	}
}

// TestProofCache: a cache answers like proofs that are read anew, after each statement, for
// rows of before, and for damaged ones; and it follows new statements alone.
func TestProofCache(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid")
	m, c := founded(t, p[0]), &ProofCache{}
	var before [][][]byte
	see := func(what string) {
		t.Helper()
		now := sortedProofs(proofs(m))
		if known := c.rooms["lobby"]; known != nil && known.follow(slices.DeleteFunc(slices.Clone(now), func(p []byte) bool { return !core.HasStatements(p) })) == nil {
			t.Errorf("%s: the whole chain is read again", what)
		}
		sameAnswers(t, c, what, now)
		sameAnswers(t, c, what+" again", now)
		before = append(before, now)
	}
	see("the founding")
	joined(t, m, p[0], p[1], core.MemberAdmin)
	see("two statements more")
	step(t, m, StatementCheckpoint, p[0], p[0], "")
	see("a checkpoint")
	joined(t, m, p[1], p[2], core.MemberMember)
	step(t, m, StatementCheckpoint, p[0], p[0], "")
	step(t, m, StatementRemove, p[0], p[2], "")
	see("a removal after a checkpoint")
	mine, err := c.Membership("lobby", before[len(before)-1])
	ok(t, err)
	step(t, mine, StatementLeave, p[1], p[1], "") // of the caller's own copy
	see("the same")
	for i, rows := range before {
		sameAnswers(t, c, fmt.Sprint("rows of before, ", i), rows)
	}
	for i, proof := range before[len(before)-1] {
		if !core.HasStatements(proof) {
			continue
		}
		rows := slices.Clone(before[len(before)-1])
		sameAnswers(t, c, "a row that is gone", slices.Delete(slices.Clone(rows), i, i+1))
		rows[i] = slices.Clone(proof)
		rows[i][len(proof)-100] ^= 1
		sameAnswers(t, c, "a row that is damaged", rows)
		rows[i] = proof[:len(proof)-1]
		sameAnswers(t, c, "a row that was cut", rows)
		rows[i] = append(slices.Clone(proof), proof[len(core.StatementsPrefix):]...)
		sameAnswers(t, c, "a row that repeats", rows)
	}
	sameAnswers(t, c, "no statements", nil)
}

// TestProofCacheIsBounded: the proof that was not used for longest is dropped first.
func TestProofCacheIsBounded(t *testing.T) {
	t.Parallel()
	m, c := founded(t, roster(t, "ann")[0]), &ProofCache{}
	for _, room := range []core.RoomID{"a", "b", "a", "c"} {
		c.calls++
		c.keep(room, &cachedChain{chain: m, size: maxCachedProofs/2 - 1})
	}
	if _, there := c.rooms["b"]; there || len(c.rooms) != 2 || c.bytes != 2*(maxCachedProofs/2-1) {
		t.Errorf("%d rooms with %d bytes are kept", len(c.rooms), c.bytes)
	}
	c.keep("d", &cachedChain{chain: m, size: maxCachedProofs + 1})
	if len(c.rooms) != 2 {
		t.Errorf("%d rooms are kept beside one that is too large", len(c.rooms))
	}
}
