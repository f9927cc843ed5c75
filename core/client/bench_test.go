package client

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
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

// benchBytes bounds the bytes that one side sends in one turn.
const (
	benchBytes    = 256 << 20
	benchMessages = 60_000
	benchWindow   = 1 << 20 // bytes in flight
)

// BenchmarkMessages sends messages from one user to another, over a node that
// enforces: with the NATS client alone ("node"), and through this package, in a
// plain and in an encrypted room. The peer sends the same bytes through the same
// nats-server with the same accounts and permissions in its static configuration,
// with the NATS client alone. For an encrypted room the peer seals, signs, verifies
// and opens them by hand: one key, a counter as the nonce, no epochs, no window, no
// members. Both sides take turns.
func BenchmarkMessages(b *testing.B) {
	c := startNode(b)
	ann, ben := newTestUser(b, c, core.RoleMember), newTestUser(b, c, core.RoleMember)
	ann.cfg.NoEcho = true // the sender does not subscribe, on both sides
	a, z := ann.open(), ben.open()
	for _, kind := range []string{"node", "plain", "encrypted"} {
		for _, size := range []int{16, 1 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("%s/%d", kind, size), func(b *testing.B) {
				room := must[*Room](b)(a.CreateRoom(ctx(b), NewRoom{Encrypted: kind == "encrypted"}))
				ok(b, room.Invite(ctx(b), ben.id, ""))
				hers := must[*Room](b)(z.Accept(ctx(b), room.ID()))
				hand := &byHand{}
				if kind == "encrypted" {
					hand = newByHand(b)
				}
				var ours func(int)
				if kind == "node" {
					ok(b, errors.Join(room.Close(), hers.Close())) // further subscribers cost the node
					ours = connTurn(b, bareConn(b, c.URL(0), a.id), bareConn(b, c.URL(0), z.id), string(room.ID()), hand, size)
				} else {
					ours = sdkTurn(b, room, hers, size)
				}
				compareMessages(b, ours, staticTurn(b, room.ID(), hand, size), size, kind == "encrypted")
			})
		}
	}
}

// compareMessages reports rates and their ratios.
func compareMessages(b *testing.B, ours, bare func(n int), size int, encrypted bool) {
	n := min(benchMessages, benchBytes/size)
	if encrypted {
		n /= 20 // signing and verifying takes longer than all the rest
	}
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

// receiver counts messages, and wakes the sender at the message that it waits for.
type receiver struct {
	received, want atomic.Int64
	wake           chan struct{}
}

func newReceiver() *receiver { return &receiver{wake: make(chan struct{}, 1)} }

func (e *receiver) count() {
	if e.received.Add(1) == e.want.Load() {
		e.wake <- struct{}{}
	}
}

// until waits for the message of that number.
func (e *receiver) until(b *testing.B, n int64) {
	e.want.Store(n)
	if e.received.Load() >= n && e.want.CompareAndSwap(n, 0) { // it came before
		select {
		case <-e.wake:
		default:
		}
		return
	}
	select {
	case <-e.wake:
	case <-time.After(wait):
		b.Fatalf("%d of %d messages came", e.received.Load(), n)
	}
}

// turn sends n messages of size in bursts, at most a window ahead of the receiver.
func turn(b *testing.B, n, size int, send func([]byte) error, e *receiver) {
	data, begun := make([]byte, size), e.received.Load()
	burst := max(8, min(n/8, benchWindow/size/2))
	for sent := 0; sent < n; {
		for range min(burst, n-sent) {
			if err := send(data); err != nil {
				b.Fatal(err)
			}
			sent++
		}
		if sent < n {
			e.until(b, begun+int64(max(sent-burst, 1)))
		}
	}
	e.until(b, begun+int64(n))
}

func sdkTurn(b *testing.B, from, to *Room, size int) func(int) {
	life, end := context.WithCancel(context.WithoutCancel(b.Context()))
	b.Cleanup(end)
	e, messages := newReceiver(), to.Messages(life)
	go func() {
		for _, err := range messages {
			if err != nil {
				b.Error(err)
				return
			}
			e.count()
		}
	}()
	return func(n int) {
		turn(b, n, size, func(data []byte) error { return from.Send(life, data) }, e)
	}
}

// byHand seals and signs in the simplest way; without a key it does nothing.
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

// connTurn sends with the NATS client alone.
func connTurn(b *testing.B, from, to *nats.Conn, room string, hand *byHand, size int) func(int) {
	subject, e := "unibus.room."+room+"."+from.Opts.Nkey, newReceiver()
	_ = must[*nats.Subscription](b)(to.Subscribe("unibus.room."+room+".*", func(m *nats.Msg) {
		hand.open(b, m.Data)
		e.count()
	}))
	ok(b, to.Flush())
	return func(n int) {
		turn(b, n, size, func(data []byte) error { return from.Publish(subject, hand.seal(data)) }, e)
	}
}

// staticTurn sends through the peer. Its room has the same name: both sides parse subjects of the same length.
func staticTurn(b *testing.B, room core.RoomID, hand *byHand, size int) func(int) {
	ann, ben := nodetest.Identity(b), nodetest.Identity(b)
	url := openStatic(b, room, ann, ben)
	return connTurn(b, bareConn(b, url, ann), bareConn(b, url, ben), string(room), hand, size)
}

func bareConn(b *testing.B, url string, id keys.Identity) *nats.Conn {
	nc := must[*nats.Conn](b)(nats.Connect(url, nats.Nkey(id.Public(), id.Sign), nats.NoReconnect()))
	b.Cleanup(nc.Close)
	return nc
}

// openStatic starts the peer: the same nats-server with the same accounts, and users in its configuration.
func openStatic(b *testing.B, room core.RoomID, ids ...keys.Identity) string {
	b.Helper()
	o := &server.Options{}
	ok(b, o.ProcessConfigString("accounts { SYS {}, CONTROL {}, BUS {}, AUDIT {} }\nsystem_account: SYS\n"))
	o.Host, o.Port, o.NoLog, o.NoSigs, o.AuthTimeout = "127.0.0.1", -1, true, true, 5
	at := slices.IndexFunc(o.Accounts, func(a *server.Account) bool { return a.Name == auth.AccountBus })
	for _, id := range ids {
		u := id.Public()
		o.Nkeys = append(o.Nkeys, &server.NkeyUser{Nkey: u, Account: o.Accounts[at], Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{auth.RoomSubject(room, u), "unibus.control.v1." + u + ".>"}},
			Subscribe: &server.SubjectPermission{Allow: []string{auth.RoomSubject(room, ">"), "_INBOX." + u + ".>"}},
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
