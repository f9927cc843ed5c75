package kv

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/seal"
	"unibus/core/store/storetest"
)

// invitedGuests is how many guests each room's owner invites in a round.
const invitedGuests = 8

// BenchmarkSignedInvitations has owners of encrypted rooms invite guests, who accept, over the
// control service of three nodes: each statement is signed, let through once, checked against
// the room's chain and kept in the rows of its subject and of the founder. Beside it two rows
// of the same bytes are written for each guest with the client library and nothing else, under
// the guard of the bucket and one at a time, as the server allows no more.
func BenchmarkSignedInvitations(b *testing.B) {
	for _, callers := range []int{1, controlCallers} {
		b.Run(fmt.Sprintf("callers-%d", callers), func(b *testing.B) { signedInvitations(b, callers) })
	}
}

// signingUser is a user with an identity and a session.
type signingUser struct {
	keys.Identity
	id     core.UserID
	client *control.Client
}

// signedRoom is an owner's room, and its chain as the bench follows it.
type signedRoom struct {
	owner  signingUser
	guests []signingUser
	id     core.RoomID
	chain  *seal.Membership
}

func signedInvitations(b *testing.B, n int) {
	on := onCluster(b)
	stores := serveControl(b, on)
	var guests []signingUser
	for i := range invitedGuests {
		guests = append(guests, newSigningUser(b, on, stores[0], i))
	}
	var rooms []*signedRoom
	for i := range n { // each begins with another guest: a node lets a user have 16 requests under way
		at := i % len(guests)
		rooms = append(rooms, newSignedRoom(b, newSigningUser(b, on, stores[0], i), slices.Concat(guests[at:], guests[:at])))
	}
	nc := on.conn(b, 1)
	var ours, bare, ratios []float64
	for b.Loop() {
		guards := guardsOf(b, stores[0])
		sides := [2]float64{}
		for i := range sides {
			if (i+len(ratios))%2 == 0 {
				sides[0] = rate(b, n*invitedGuests, func() error { return eachRoom(rooms, func(r *signedRoom) error { return r.inviteAll(b) }) })
			} else {
				sides[1] = rate(b, n*invitedGuests, func() error { return eachRoom(rooms, func(r *signedRoom) error { return r.putRows(nc, guards) }) })
			}
		}
		mustDo(b, eachRoom(rooms, func(r *signedRoom) error { return r.leaveAll(b) }))
		ours, bare, ratios = append(ours, sides[0]), append(bare, sides[1]), append(ratios, sides[0]/sides[1])
	}
	b.ReportMetric(0, "ns/op")
	for name, v := range map[string][]float64{"guests/s": ours, "bare/s": bare, "ratio-median": ratios} {
		slices.Sort(v)
		b.ReportMetric(v[len(v)/2], name)
	}
	b.ReportMetric(ratios[0], "ratio-min")
	b.ReportMetric(ratios[len(ratios)-1], "ratio-max")
}

func newSigningUser(b *testing.B, on tenant, s *Store, i int) signingUser {
	b.Helper()
	id := must[keys.Identity](b)(keys.GenerateIdentity())
	u := storetest.NewUser(b, "user")
	u.ID = core.UserID(id.Public())
	mustDo(b, s.AddUser(b.Context(), u))
	nc := must[*nats.Conn](b)(nats.Connect("", nats.InProcessServer(on.nodes[i%3]), nats.UserInfo(fmt.Sprintf("t%d", on.account), "x"),
		nats.CustomInboxPrefix(auth.InboxPrefix(id.Public()))))
	b.Cleanup(nc.Close)
	return signingUser{id, u.ID, control.NewClient(control.ClientConfig{Conn: nc, Identity: id})}
}

func newSignedRoom(b *testing.B, owner signingUser, guests []signingUser) *signedRoom {
	b.Helper()
	r := &signedRoom{owner: owner, guests: guests, id: control.NewRoomID()}
	r.chain = must[*seal.Membership](b)(seal.MakeFounding(seal.FoundingConfig{Room: r.id, By: owner, At: 1, Encrypted: true}))
	must[core.Room](b)(owner.client.CreateRoom(b.Context(), control.CreateRequest{ID: string(r.id), Encrypted: true, Founding: r.chain.Statements(0)[0]}))
	return r
}

// eachRoom has all owners act at once.
func eachRoom(rooms []*signedRoom, do func(*signedRoom) error) (first error) {
	var all sync.WaitGroup
	var once sync.Once
	for _, r := range rooms {
		all.Go(func() {
			if err := do(r); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	all.Wait()
	return first
}

// append signs a statement, sends it and waits for the answer.
func (r *signedRoom) append(b *testing.B, by signingUser, cfg seal.StatementConfig) error {
	cfg.By, cfg.At = by, 1
	s, err := r.chain.Sign(cfg)
	if err != nil {
		return err
	}
	if _, err := by.client.AppendStatements(b.Context(), r.id, s.Bytes()); err != nil {
		return err
	}
	_, err = r.chain.Append(s.Bytes())
	return err
}

func (r *signedRoom) inviteAll(b *testing.B) error {
	for _, g := range r.guests {
		if err := r.append(b, r.owner, seal.StatementConfig{Kind: seal.StatementInvite, Subject: g.id, Role: core.MemberMember}); err != nil {
			return err
		}
		if err := r.append(b, g, seal.StatementConfig{Kind: seal.StatementAccept}); err != nil {
			return err
		}
	}
	return nil
}

func (r *signedRoom) leaveAll(b *testing.B) error {
	for _, g := range r.guests {
		if err := r.append(b, g, seal.StatementConfig{Kind: seal.StatementLeave}); err != nil {
			return err
		}
	}
	return nil
}

// putRows writes the rows of the guests' invitations and acceptances, in rooms that nobody reads.
func (r *signedRoom) putRows(nc *nats.Conn, guards map[core.Table]*guarded) error {
	for _, g := range r.guests {
		m := core.Member{Room: control.NewRoomID(), User: g.id, Role: core.MemberMember, State: core.MemberInvited, Joined: 1}
		for range 2 {
			statement := r.chain.Statements(0)[0]
			m.Proof = append(m.Proof, statement...)
			if err := putGuardedInTurn(nc, guards[core.TableMembers], core.MemberRow(m)); err != nil {
				return err
			}
			m.State = core.MemberActive
		}
	}
	return nil
}

// putGuardedInTurn is putGuarded, and again while another guarded write is under way: a node
// may still repair an index.
func putGuardedInTurn(nc *nats.Conn, g *guarded, r core.Row) error {
	const inFlight = 10164 // the server's code
	for {
		err := putGuarded(nc, g, r)
		if api := (*server.ApiError)(nil); !errors.As(err, &api) || api.ErrCode != inFlight {
			return err
		}
	}
}
