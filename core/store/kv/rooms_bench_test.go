package kv

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/control"
	"unibus/core/keys"
	"unibus/core/store/storetest"
)

const (
	controlCallers = 48 // users who each wait for one answer at a time
	controlRooms   = 8  // rooms that each of them makes in a round, with one invitation each
)

// BenchmarkRoomsAndInvitations has users make rooms and invite somebody over the
// control service of three nodes: signed, let through once, decided by proven reads.
// Beside it the same records are written with the client library alone: a room, two
// members and their two index entries. Each is written under the guard of its bucket
// and one at a time in a bucket, because the server allows no more.
func BenchmarkRoomsAndInvitations(b *testing.B) {
	for _, callers := range []int{1, controlCallers} {
		b.Run(fmt.Sprintf("callers-%d", callers), func(b *testing.B) { roomsAndInvitations(b, callers) })
	}
}

func roomsAndInvitations(b *testing.B, n int) {
	on := onCluster(b)
	stores := serveControl(b, on)
	callers := controlUsers(b, on, stores[0], n)
	nc, guards := on.conn(b, 1), guardsOf(b, stores[0])
	var ours, bare, ratios []float64
	for b.Loop() {
		var o, p float64
		round := func() { o = requestRate(b, callers) }
		peer := func() { p = guardedRate(b, nc, guards, callers) }
		if len(ratios)%2 == 0 {
			round()
			peer()
		} else {
			peer()
			round()
		}
		ours, bare, ratios = append(ours, o), append(bare, p), append(ratios, o/p)
	}
	b.ReportMetric(0, "ns/op")
	for name, v := range map[string][]float64{"rooms/s": ours, "bare/s": bare, "ratio-median": ratios} {
		slices.Sort(v)
		b.ReportMetric(v[len(v)/2], name)
	}
	b.ReportMetric(ratios[0], "ratio-min")
	b.ReportMetric(ratios[len(ratios)-1], "ratio-max")
}

// serveControl offers the service on every node, as core/node does.
func serveControl(b *testing.B, on tenant) (stores []*Store) {
	b.Helper()
	key := clusterKey(b)
	prover := auth.Prover{Key: func() (auth.Signer, bool) { return key, true }, IsClusterChannel: func(auth.Channel) bool { return true }}
	for i := range on.nodes {
		s := on.openWith(b, i, Config{Replicas: 3, Timeout: 5 * time.Second, Node: on.nodes[i].Name()})
		nonces := NewNonces(NoncesConfig{Conn: on.conn(b, i), Replicas: 3, Life: auth.NonceLife, Budget: 30 * time.Second, Timeout: 5 * time.Second})
		mustDo(b, nonces.Open(b.Context()))
		holder := &core.StoreHandle{}
		holder.Publish(s)
		service := control.NewService(control.Config{
			Conn: on.conn(b, i), Node: on.nodes[i].Name(), Store: holder, Now: func() core.Millis { return core.MillisOf(time.Now()) },
			Prover:      prover,
			Quotas:      control.Quotas{Invitations: 1 << 30, Rooms: 1 << 30},
			Guard:       &auth.Replay{Node: on.nodes[i].Name(), Cluster: key.Public, IsClusterChannel: prover.IsClusterChannel, Nonces: nonces, Own: auth.NewMemory(time.Now), Now: time.Now},
			EndSessions: func(context.Context, core.User) map[string]control.Ended { return nil }, Note: func(core.UserID, string) {}, Audit: noAudit{},
		})
		mustDo(b, service.Open(b.Context()))
		b.Cleanup(func() { _ = service.Close() })
		stores = append(stores, s)
	}
	return stores
}

// noAudit keeps no record: the benches have no user-admin.
type noAudit struct{}

func (noAudit) Begin(context.Context, control.AuditIntent) (func(context.Context, error), error) {
	return func(context.Context, error) {}, nil
}

func clusterKey(b *testing.B) keys.Identity {
	b.Helper()
	_, id, err := keys.GenerateCluster()
	mustDo(b, err)
	return id
}

type controlUser struct {
	id     core.UserID
	guest  core.UserID
	client *control.Client
}

func controlUsers(b *testing.B, on tenant, s *Store, n int) (all []controlUser) {
	b.Helper()
	guest := storetest.NewUser(b, "guest")
	for i := range n {
		if i%8 == 0 { // nobody can be in more than 1,000 rooms
			guest = storetest.NewUser(b, "guest")
			mustDo(b, s.AddUser(b.Context(), guest))
		}
		id := must[keys.Identity](b)(keys.GenerateIdentity())
		u := storetest.NewUser(b, "caller")
		u.ID = core.UserID(id.Public())
		mustDo(b, s.AddUser(b.Context(), u))
		nc := must[*nats.Conn](b)(nats.Connect("", nats.InProcessServer(on.nodes[i%3]), nats.UserInfo(fmt.Sprintf("t%d", on.account), "x"),
			nats.CustomInboxPrefix(auth.InboxPrefix(id.Public()))))
		b.Cleanup(nc.Close)
		all = append(all, controlUser{u.ID, guest.ID, control.NewClient(control.ClientConfig{Conn: nc, Identity: id})})
	}
	return all
}

// requestRate is rooms with an invitation a second.
func requestRate(b *testing.B, callers []controlUser) float64 {
	b.Helper()
	return rate(b, len(callers)*controlRooms, func() error {
		return eachCaller(callers, func(u controlUser) error {
			room, err := u.client.CreateRoom(b.Context(), control.CreateRequest{})
			if err == nil {
				_, err = u.client.Invite(b.Context(), room.ID, u.guest, core.MemberMember, nil)
			}
			return err
		})
	})
}

func eachCaller(callers []controlUser, do func(controlUser) error) (first error) {
	var all sync.WaitGroup
	var once sync.Once
	for _, u := range callers {
		all.Go(func() {
			for range controlRooms {
				if err := do(u); err != nil {
					once.Do(func() { first = err })
					return
				}
			}
		})
	}
	all.Wait()
	return first
}

// guarded is a bucket's guard and its turn.
type guarded struct {
	prefix string
	rev    uint64
	turn   sync.Mutex
}

func guardsOf(b *testing.B, s *Store) map[core.Table]*guarded {
	b.Helper()
	out := map[core.Table]*guarded{}
	for _, t := range core.Tables() {
		wb := must[*watchedBucket](b)(s.readyBucket(b.Context(), t))
		out[t] = &guarded{prefix: "$KV." + t.Bucket() + ".", rev: wb.guard().rev}
	}
	return out
}

func guardedRate(b *testing.B, nc *nats.Conn, guards map[core.Table]*guarded, callers []controlUser) float64 {
	b.Helper()
	return rate(b, len(callers)*controlRooms, func() error {
		return eachCaller(callers, func(u controlUser) error {
			r := storetest.NewRoom(control.NewRoomID(), u.id)
			rows := []core.Row{core.RoomRow(r)}
			for _, user := range []core.UserID{u.id, u.guest} {
				m := storetest.NewMember(r.ID, user)
				rows = append(rows, core.MemberRow(m), core.IndexRow(m))
			}
			for _, row := range rows {
				if err := putGuarded(nc, guards[row.Table], row); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func putGuarded(nc *nats.Conn, g *guarded, r core.Row) error {
	m := nats.NewMsg(g.prefix + r.Key)
	m.Data = r.Value
	m.Header.Set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(g.rev, 10))
	m.Header.Set("Nats-Expected-Last-Subject-Sequence-Subject", g.prefix+"_authority")
	g.turn.Lock()
	defer g.turn.Unlock()
	reply, err := nc.RequestMsg(m, 20*time.Second)
	if err != nil {
		return err
	}
	var ack struct {
		Error *server.ApiError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return err
	}
	if ack.Error != nil {
		return ack.Error
	}
	return nil
}
