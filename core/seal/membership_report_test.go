package seal

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"unibus/core"
)

// TestInspectChain: whatever a node keeps, the report says how far it verifies, at which
// statement it does not, and shows both statements of a fork.
func TestInspectChain(t *testing.T) {
	t.Parallel()
	p := roster(t, "ann", "bob", "cid")
	m := founded(t, p[0])
	joined(t, m, p[0], p[1], core.MemberAdmin)
	fork := copyOf(t, m)
	step(t, m, StatementInvite, p[0], p[2], core.MemberMember)
	step(t, m, StatementRemove, p[1], p[2], "")
	step(t, fork, StatementRemove, p[0], p[1], "")
	all := statements(m)
	flipped := func(i, at int) [][]byte {
		out := slices.Clone(all)
		out[i] = bytes.Clone(out[i])
		out[i][len(out[i])-1-at] ^= 1
		return out
	}
	for name, c := range map[string]struct {
		kept     [][]byte
		want     error
		at       uint64
		verified int
		forks    int
	}{
		"all":                  {all, nil, 0, 5, 0},
		"in another order":     {[][]byte{all[4], all[0], all[2], all[3], all[1]}, nil, 0, 5, 0},
		"one of them twice":    {append(slices.Clone(all), all[2]), nil, 0, 5, 0},
		"one is missing":       {slices.Delete(slices.Clone(all), 2, 3), ErrGap, 3, 2, 0},
		"the founding is gone": {all[1:], ErrGap, 1, 0, 0},
		"none":                 {nil, ErrGap, 0, 0, 0},
		"a signature":          {flipped(3, 0), ErrStatement, 3, 3, 0},
		"another signer":       {flipped(3, 64), ErrFormat, 3, 3, 0},
		"what is no statement": {append(slices.Clone(all), []byte("x")), ErrFormat, 5, 5, 0},
		"a fork":               {append(slices.Clone(all), fork.log[3].raw), ErrFork, 3, 0, 1},
	} {
		r := InspectChain(MembershipSource{Room: "lobby", Statements: c.kept})
		verified := 0
		for _, s := range r.Statements {
			if s.Verified {
				verified++
			}
		}
		if c.want == nil && r.Fault != nil || c.want != nil && !errors.Is(r.Fault, c.want) || c.at != r.At && name != "a fork" {
			t.Errorf("%s: %v at %d, want %v at %d", name, r.Fault, r.At, c.want, c.at)
		}
		if verified != c.verified && c.verified > 0 || len(r.Forks) != c.forks {
			t.Errorf("%s: %d are verified, %d forks", name, verified, len(r.Forks))
		}
		for _, f := range r.Forks {
			if err := f.Check(); err != nil || bytes.Equal(f.Known, f.Shown) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	var proof []byte
	for _, b := range all {
		s, err := VerifyStatement("lobby", b)
		ok(t, err)
		proof = AppendProof(proof, s)
	}
	verify := func(proofs ...[]byte) error {
		_, err := VerifyProofs("lobby", proofs)
		return err
	}
	ok(t, verify(proof, nil))
	ok(t, verify(nil, []byte("an old proof")))
	refused(t, verify(proof[:len(proof)-1]), ErrFormat)
	proof[len(proof)-1] ^= 1
	refused(t, verify(proof), ErrStatement)
	if at, _ := VerifyProofs("lobby", [][]byte{proof}); at != 4 {
		t.Errorf("the fault is at statement %d", at)
	}
}
