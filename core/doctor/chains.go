package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"unibus/core"
)

const checkChains = "rows.chains"

// VerifyChain verifies the statements that the proofs of a room's members hold. With an
// error it says at which statement they verify no further.
type VerifyChain func(room core.RoomID, proofs [][]byte) (statement uint64, err error)

// checkMemberChains verifies what the members of each room signed. Rows are written while
// it reads, so it looks again at rows that do not fit; a difference that stays is a
// fault.
func checkMemberChains(ctx context.Context, from Rows, verify VerifyChain, l limits) Check {
	var stays map[core.RoomID]string
	for try := range l.reads {
		found, chains, err := brokenChains(ctx, from, verify)
		switch {
		case err != nil:
			return unknown(checkChains, err)
		case len(found) == 0:
			return Check{Name: checkChains, State: OK, Text: fmt.Sprintf("the members' statements of %d rooms are one signed chain each", chains)}
		case try == 0:
			stays = found
		}
		maps.DeleteFunc(stays, func(room core.RoomID, _ string) bool { return found[room] == "" })
		maps.Copy(stays, intersect(found, stays))
		if !sleep(ctx, l.pause) {
			return unknown(checkChains, ctx.Err())
		}
	}
	c := Check{Name: checkChains, State: OK, Text: "every chain that did not fit was being written"}
	rooms := slices.Sorted(maps.Keys(stays))
	for _, room := range rooms {
		c.add(Fault{Bucket: core.TableMembers.Bucket(), Key: string(room), Text: stays[room]})
	}
	if c.State == Wrong {
		c.Text = fmt.Sprintf("the members' statements of %d rooms are no signed chain", c.count())
		c.Means = "the members' programs refuse them, and send nothing in such a room"
		c.Next = fmt.Sprintf("see the statement and its signer; a backup from before has the rows: unibusd room get %s", rooms[0])
	}
	return c
}

// intersect is what a has of the rooms of b: the newest text of each.
func intersect(a, b map[core.RoomID]string) map[core.RoomID]string {
	out := map[core.RoomID]string{}
	for room := range b {
		out[room] = a[room]
	}
	return out
}

// brokenChains are the rooms whose statements do not verify, and the number of those with
// statements. The rows come in the order of rooms, so one room is in memory at a time.
func brokenChains(ctx context.Context, from Rows, verify VerifyChain) (broken map[core.RoomID]string, chains int, err error) {
	broken = map[core.RoomID]string{}
	var room core.RoomID
	var proofs [][]byte
	end := func() {
		if len(proofs) == 0 {
			return
		}
		chains++
		if at, err := verify(room, proofs); err != nil {
			broken[room] = fmt.Sprintf("room %s, statement %d: %s", room, at, core.AsError(err).Text)
		}
		proofs = nil
	}
	for r, err := range from.Keys(ctx, core.TableMembers) {
		if err != nil {
			return nil, 0, err
		}
		m, err := core.DecodeMember(r)
		if err != nil {
			continue // another check names it
		}
		if m.Room != room {
			end()
			room = m.Room
		}
		if core.HasStatements(m.Proof) {
			proofs = append(proofs, m.Proof)
		}
	}
	end()
	return broken, chains, nil
}
