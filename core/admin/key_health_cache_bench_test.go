package admin

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/store/kv"
	"unibus/core/store/sqlite"
	"unibus/core/store/storetest"
)

// BenchmarkSurvey is one pass over 2,000 encrypted rooms of 20 members each: the cost
// of a list of rooms for the serving node once in three seconds, however many clients
// ask.
func BenchmarkSurvey(b *testing.B) {
	in := core.Snapshot{}
	for range 200 {
		u := storetest.NewUser(b, "u")
		u.Status = core.UserActive
		in.Users = append(in.Users, u)
	}
	for i := range 2000 {
		r := storetest.NewRoom(core.RoomID(fmt.Sprintf("room-%04d", i)), in.Users[i%200].ID)
		in.Rooms = append(in.Rooms, r)
		for j := range 20 {
			id := in.Users[(i+j*7)%200].ID
			in.Members = append(in.Members, storetest.NewMember(r.ID, id))
			if j > 0 {
				in.Keys = append(in.Keys, storetest.NewKey(r.ID, 0, id))
			}
		}
	}
	b.Run("sqlite", func(b *testing.B) {
		st := sqlite.New(sqlite.Config{Path: b.TempDir() + "/unibus.db", Create: true})
		must(b, st.Open(b.Context()))
		b.Cleanup(func() { _ = st.Close() })
		surveys(b, st, in)
	})
	b.Run("kv", func(b *testing.B) {
		srv, err := server.NewServer(&server.Options{ServerName: "n1", DontListen: true, JetStream: true, StoreDir: b.TempDir(), NoSigs: true, NoLog: true})
		must(b, err)
		srv.Start()
		b.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
		nc, err := nats.Connect("", nats.InProcessServer(srv))
		must(b, err)
		b.Cleanup(nc.Close)
		st := kv.New(kv.Config{Conn: nc, Replicas: 1, Timeout: time.Minute})
		b.Cleanup(func() { _ = st.Close() })
		must(b, errors.Join(st.Open(b.Context()), st.OpenFor(b.Context(), core.Authority{Backend: core.BackendNone})))
		surveys(b, st, in)
	})
}

func surveys(b *testing.B, st core.Store, in core.Snapshot) {
	b.Helper()
	_, err := storetest.Import(b.Context(), st, in)
	must(b, err)
	for b.Loop() {
		v, err := newKeyHealthSnapshot(b.Context(), st)
		must(b, err)
		if len(v.health) != 2000 || v.health["room-0000"].Unkeyed != 1 {
			b.Fatalf("%d rooms", len(v.health))
		}
	}
}
