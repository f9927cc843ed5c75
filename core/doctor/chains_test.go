package doctor

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// signedRooms are three rooms, two of them with statements.
func signedRooms() *fakeRows {
	proof := func(text string) []byte { return []byte(core.StatementsPrefix + text) }
	return &fakeRows{Snapshot: core.Snapshot{Members: []core.Member{
		{Room: "r1", User: "U1", State: core.MemberActive, Proof: proof("a")},
		{Room: "r1", User: "U2", State: core.MemberRemoved, Proof: proof("b")},
		{Room: "r2", User: "U1", State: core.MemberActive, Proof: []byte("an old proof")},
		{Room: "r3", User: "U1", State: core.MemberActive, Proof: proof("c")},
	}}}
}

// verifies is a VerifyChain that finds a fault in one room, and says what it was given.
func verifies(broken core.RoomID, given map[core.RoomID]int) VerifyChain {
	return func(room core.RoomID, proofs [][]byte) (uint64, error) {
		given[room] = len(proofs)
		if room == broken {
			return 7, errors.New("it is not signed by its signer")
		}
		return 0, nil
	}
}

// TestBrokenChainsAreNamed by room and statement, with the next step.
func TestBrokenChainsAreNamed(t *testing.T) {
	t.Parallel()
	quick := limits{reads: 2, pause: time.Nanosecond}
	given := map[core.RoomID]int{}
	if c := checkMemberChains(t.Context(), signedRooms(), verifies("", given), quick); c.State != OK || !strings.Contains(c.Text, "2 rooms") {
		t.Errorf("%+v", c)
	}
	if len(given) != 2 || given["r1"] != 2 || given["r3"] != 1 {
		t.Errorf("verified: %v", given)
	}
	c := checkMemberChains(t.Context(), signedRooms(), verifies("r3", given), quick)
	if c.State != Wrong || len(c.Faults) != 1 || c.Faults[0].Key != "r3" || !strings.Contains(c.Faults[0].Text, "room r3, statement 7") {
		t.Errorf("%+v", c)
	}
	if c.Means == "" || !strings.HasSuffix(c.Next, "unibusd room get r3") {
		t.Errorf("%q, %q", c.Means, c.Next)
	}
	failing := &failingKeys{fakeRows: signedRooms()}
	if c := checkMemberChains(t.Context(), failing, verifies("", given), quick); c.State != Unknown || c.Next == "" {
		t.Errorf("%+v", c)
	}
}

// failingKeys cannot be read.
type failingKeys struct{ *fakeRows }

func (*failingKeys) Keys(context.Context, core.Table) iter.Seq2[core.Row, error] {
	return func(yield func(core.Row, error) bool) {
		yield(core.Row{}, core.Errorf(core.KindUnavailable, "the leader is away"))
	}
}

// TestChainsThatAreBeingWritten: a fault that is gone at the next reading is none.
func TestChainsThatAreBeingWritten(t *testing.T) {
	t.Parallel()
	reads := 0
	once := func(room core.RoomID, _ [][]byte) (uint64, error) {
		if room == "r1" {
			if reads++; reads == 1 {
				return 2, errors.New("a statement is missing")
			}
		}
		return 0, nil
	}
	if c := checkMemberChains(t.Context(), signedRooms(), once, limits{reads: 3, pause: time.Nanosecond}); c.State != OK {
		t.Errorf("%+v", c)
	}
}
