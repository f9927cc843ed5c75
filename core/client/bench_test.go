package client

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/seal"
)

// benchBytes is what one side sends in one turn, of small messages fewer.
const (
	benchBytes    = 32 << 20
	benchMessages = 8000
	benchWindow   = 1 << 20 // bytes that are under way
)

// BenchmarkMessages has one user speak in a room and another hear it, through
// this package and a node that enforces. Beside it the same bytes go through
// the same nats-server with the same accounts and permissions in its static
// configuration and the NATS client alone; for an encrypted room they are
// sealed, signed, checked and opened by hand: one key, a counter as the nonce,
// no epochs, no window, no members. Both sides take turns.
func BenchmarkMessages(b *testing.B) {
	c := alone(b)
	ann, ben := newPerson(b, c, core.RoleMember), newPerson(b, c, core.RoleMember)
	a, z := ann.open(), ben.open()
	for _, encrypted := range []bool{false, true} {
		for _, size := range []int{16, 1 << 10, 64 << 10} {
			name, hand := "plain", &byHand{}
			if encrypted {
				name, hand = "encrypted", newByHand(b)
			}
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				room := must[*Room](b)(a.CreateRoom(ctx(b), NewRoom{Encrypted: encrypted}))
				ok(b, room.Invite(ctx(b), ben.id, ""))
				compareMessages(b, sdkTurn(b, room, must[*Room](b)(z.Room(ctx(b), room.ID())), size), bareTurn(b, hand, size), size)
			})
		}
	}
}

// compareMessages reports rates and their ratios.
func compareMessages(b *testing.B, ours, bare func(n int), size int) {
	n := min(benchMessages, benchBytes/size)
	var sides [2][]float64
	var ratios []float64
	for b.Loop() {
		var now [2]float64
		for i := range sides {
			side := (i + len(ratios)) % 2
			begun := time.Now()
			[]func(int){ours, bare}[side](n)
			now[side] = float64(n) / time.Since(begun).Seconds()
			sides[side] = append(sides[side], now[side])
		}
		ratios = append(ratios, now[0]/now[1])
	}
	for name, v := range map[string][]float64{"unibus-msgs/s": sides[0], "bare-msgs/s": sides[1], "ratio-median": ratios} {
		b.ReportMetric(slices.Sorted(slices.Values(v))[len(v)/2], name)
	}
	b.ReportMetric(slices.Min(ratios), "ratio-min")
	b.ReportMetric(0, "ns/op")
}

// turn sends n messages of size, no more than the window ahead of what was heard.
func turn(b *testing.B, n, size int, send func([]byte), heard <-chan int) {
	data := make([]byte, size)
	window := max(16, min(n/4, benchWindow/size))
	for sent, seen := 0, 0; seen < n; {
		for ; sent < n && sent-seen < window; sent++ {
			send(data)
		}
		select {
		case k := <-heard:
			seen += k
		case <-time.After(wait):
			b.Fatalf("%d of %d messages came", seen, n)
		}
	}
}

func sdkTurn(b *testing.B, from, to *Room, size int) func(int) {
	heard := make(chan int, benchMessages)
	life, end := context.WithCancel(context.WithoutCancel(b.Context()))
	b.Cleanup(end)
	messages := to.Messages(life)
	go func() {
		for _, err := range messages {
			if err != nil {
				b.Error(err)
				return
			}
			heard <- 1
		}
	}()
	return func(n int) {
		turn(b, n, size, func(data []byte) { ok(b, from.Send(b.Context(), data)) }, heard)
	}
}

// byHand seals and signs with the least that does it; without a key it does nothing.
type byHand struct {
	priv ed25519.PrivateKey
	aead cipher.AEAD
	n    uint64
}

func newByHand(b *testing.B) *byHand {
	_, priv, err := ed25519.GenerateKey(nil)
	ok(b, err)
	block := must[cipher.Block](b)(aes.NewCipher(make([]byte, 32)))
	return &byHand{priv: priv, aead: must[cipher.AEAD](b)(cipher.NewGCM(block))}
}

func (h *byHand) seal(text []byte) []byte {
	if h.aead == nil {
		return text
	}
	out := make([]byte, seal.Overhead-h.aead.Overhead()-ed25519.SignatureSize, len(text)+seal.Overhead)
	h.n++
	binary.BigEndian.PutUint64(out, h.n)
	out = h.aead.Seal(out, out[:h.aead.NonceSize()], text, out)
	return append(out, ed25519.Sign(h.priv, out)...)
}

func (h *byHand) open(b *testing.B, m []byte) {
	if h.aead == nil {
		return
	}
	n := len(m) - ed25519.SignatureSize
	if !ed25519.Verify(h.priv.Public().(ed25519.PublicKey), m[:n], m[n:]) {
		b.Error("not signed")
	}
	head := seal.Overhead - h.aead.Overhead() - ed25519.SignatureSize
	if _, err := h.aead.Open(nil, m[:h.aead.NonceSize()], m[head:n], m[:head]); err != nil {
		b.Error(err)
	}
}

func bareTurn(b *testing.B, hand *byHand, size int) func(int) {
	ann, ben := nodetest.Identity(b), nodetest.Identity(b)
	url := openStatic(b, ann, ben)
	subject, heard := "unibus.room.one."+ann.Public(), make(chan int, benchMessages)
	from, to := bareConn(b, url, ann), bareConn(b, url, ben)
	_ = must[*nats.Subscription](b)(to.Subscribe("unibus.room.one.>", func(m *nats.Msg) {
		hand.open(b, m.Data)
		heard <- 1
	}))
	ok(b, to.Flush())
	return func(n int) {
		turn(b, n, size, func(data []byte) { ok(b, from.Publish(subject, hand.seal(data))) }, heard)
	}
}

func bareConn(b *testing.B, url string, id keys.Identity) *nats.Conn {
	nc := must[*nats.Conn](b)(nats.Connect(url, nats.Nkey(id.Public(), id.Sign), nats.NoReconnect()))
	b.Cleanup(nc.Close)
	return nc
}

// openStatic is the peer: the same nats-server with the same accounts, its users in its configuration.
func openStatic(b *testing.B, ids ...keys.Identity) string {
	b.Helper()
	o := &server.Options{}
	ok(b, o.ProcessConfigString("accounts { SYS {}, CONTROL {}, BUS {}, AUDIT {} }\nsystem_account: SYS\n"))
	o.Host, o.Port, o.NoLog, o.NoSigs, o.AuthTimeout = "127.0.0.1", -1, true, true, 5
	at := slices.IndexFunc(o.Accounts, func(a *server.Account) bool { return a.Name == auth.AccountBus })
	for _, id := range ids {
		u := id.Public()
		o.Nkeys = append(o.Nkeys, &server.NkeyUser{Nkey: u, Account: o.Accounts[at], Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"unibus.room.one." + u, "unibus.control.v1." + u + ".>"}},
			Subscribe: &server.SubjectPermission{Allow: []string{"unibus.room.one.>", "_INBOX." + u + ".>"}},
		}})
	}
	s := must[*server.Server](b)(server.NewServer(o))
	s.Start()
	b.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("the static server is not ready")
	}
	return s.ClientURL()
}
