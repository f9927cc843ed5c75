package admin

import (
	"testing"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/seal"
)

// TestRoomStatements: pages of what a node keeps, its own summary, and bad input.
func TestRoomStatements(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, w *keyWorld) {
		ctx, ben := t.Context(), w.people[1].ID
		ann, err := keys.GenerateIdentity()
		must(t, err)
		owner := core.UserID(ann.Public())
		must(t, w.store.AddUser(ctx, core.User{ID: owner, Role: core.RoleMember, Status: core.UserActive, Created: 1, Updated: 1}))
		must(t, w.store.CreateRoom(ctx, core.Room{ID: "plans", Owner: owner, Encrypted: true, State: core.RoomActive, Created: 1}))
		must(t, w.store.CreateRoom(ctx, core.Room{ID: "old", Owner: owner, Encrypted: true, State: core.RoomActive, Created: 1}))
		chain, err := seal.MakeFounding(seal.FoundingConfig{Room: "plans", By: ann, At: 5, Encrypted: true})
		must(t, err)
		founding, err := seal.VerifyStatement("plans", chain.Statements(0)[0])
		must(t, err)
		must(t, w.store.PutMember(ctx, core.Member{Room: "plans", User: owner, Role: core.MemberOwner, State: core.MemberActive, Proof: seal.AppendProof(nil, founding), Joined: 1}))
		put := func(s seal.Statement) {
			t.Helper()
			must(t, w.store.PutMember(ctx, core.Member{Room: "plans", User: ben, Role: core.MemberMember, State: core.MemberInvited, Proof: seal.AppendProof(nil, s), Joined: 1}))
		}
		invitation, err := chain.Sign(seal.StatementConfig{Kind: seal.StatementInvite, By: ann, Subject: ben, Role: core.MemberMember, At: 6})
		must(t, err)
		put(invitation)
		get := func(req RoomStatementsRequest) RoomStatements {
			t.Helper()
			out, err := w.roomStatements(ctx, core.Operator{}, req)
			must(t, err)
			return out.(RoomStatements)
		}
		all := get(RoomStatementsRequest{ID: "plans"})
		if all.Total != 2 || len(all.Statements) != 2 || all.Node != w.cfg.Node || string(all.Statements[1]) != string(invitation.Bytes()) {
			t.Errorf("%+v", all)
		}
		if page := get(RoomStatementsRequest{ID: "plans", Offset: 1, Limit: 1}); len(page.Statements) != 1 || page.Offset != 1 || page.Total != 2 {
			t.Errorf("%+v", page)
		}
		if page := get(RoomStatementsRequest{ID: "plans", Offset: 9}); page.Statements == nil || len(page.Statements) != 0 {
			t.Errorf("%+v", page)
		}
		if page := get(RoomStatementsRequest{ID: "old"}); page.Total != 0 || page.Statements == nil {
			t.Errorf("%+v", page)
		}
		for _, req := range []RoomStatementsRequest{{ID: "plans", Offset: -1}, {ID: "plans", Limit: -1}, {ID: "plans", Limit: maxStatementsPage + 1}, {ID: "a b"}, {}} {
			if _, err := w.roomStatements(ctx, core.Operator{}, req); core.KindOf(err) != core.KindInvalid {
				t.Errorf("%+v: %v", req, err)
			}
		}
		if _, err := w.roomStatements(ctx, core.Operator{}, RoomStatementsRequest{ID: "none"}); core.KindOf(err) != core.KindNotFound {
			t.Errorf("a room that is not there: %v", err)
		}
		summary := func(room core.RoomID) *ChainSummary {
			t.Helper()
			out, err := w.roomGet(ctx, core.Operator{}, RoomRequest{ID: string(room)})
			must(t, err)
			return out.(RoomDetail).Chain
		}
		must(t, errOf(chain.Append(invitation.Bytes())))
		for range 2 { // the second one is kept
			c := summary("plans")
			if c == nil || c.Statements != 2 || c.Founder != owner || c.Newest.Subject != ben || c.Newest.What != "invitation" || c.Number != chain.Number() || c.Fault != "" {
				t.Errorf("%+v", c)
			}
		}
		if c := summary("old"); c == nil || c.Statements != 0 {
			t.Errorf("a room without a chain: %+v", c)
		}
		other, err := chain.Sign(seal.StatementConfig{Kind: seal.StatementRemove, By: ann, Subject: ben, At: 7})
		must(t, err)
		put(other) // and the invitation is lost
		if c := summary("plans"); c == nil || c.Fault == "" {
			t.Errorf("a chain with a gap: %+v", c)
		}
	})
}
