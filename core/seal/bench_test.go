package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
)

// BenchmarkRekey is a rekey of 1,000 members: 1,000 boxes and the record.
func BenchmarkRekey(b *testing.B) {
	ann := newPerson(b, "ann")
	people := crowd(b, ann, 1000)
	prev := rekey(b, nil, ann, ann)
	before := processorTime(b)
	for b.Loop() {
		rekey(b, prev.Key, ann, people...)
	}
	b.ReportMetric(float64((processorTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// processorTime is what this process has used: on a machine that is shared it says more than the clock.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	ok(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFollow is what a member does after a rekey: check the record, its place in the chain, and open a box.
func BenchmarkFollow(b *testing.B) {
	ann := newPerson(b, "ann")
	people := crowd(b, ann, 1000)
	first := rekey(b, nil, ann, ann)
	second := rekey(b, first.Key, ann, people...)
	me := people[700]
	row := boxOf(b, second, me)
	b.Run("record", func(b *testing.B) {
		for b.Loop() {
			_, err := ResumeChain(headOf(first.Key.record)).Advance(second.Record, first.Key)
			ok(b, err)
		}
	})
	b.Run("box", func(b *testing.B) {
		for b.Loop() {
			_, err := OpenBox(second.Key.record, row, me.user, me.kem)
			ok(b, err)
		}
	})
	b.Run("kem-key", func(b *testing.B) {
		raw, err := me.kem.Publish(me, start)
		ok(b, err)
		for b.Loop() {
			_, err := ParseKEMKey(me.user, raw)
			ok(b, err)
		}
	})
}

// byHand seals and signs the same bytes with the least that does it: a fixed
// key and header, one nonce a message, no session, no window, no epochs.
type byHand struct {
	priv ed25519.PrivateKey
	aead cipher.AEAD
	n    byte
}

func newByHand(tb testing.TB) *byHand {
	tb.Helper()
	_, priv, err := ed25519.GenerateKey(nil)
	ok(tb, err)
	block, err := aes.NewCipher(make([]byte, 32))
	ok(tb, err)
	aead, err := cipher.NewGCM(block)
	ok(tb, err)
	return &byHand{priv: priv, aead: aead}
}

func (h *byHand) seal(text []byte) []byte {
	b := make([]byte, headerSize, len(text)+Overhead)
	h.n++
	b[0] = h.n
	b = h.aead.Seal(b, b[:12], text, b[:headerSize])
	return append(b, ed25519.Sign(h.priv, b)...)
}

func (h *byHand) open(tb testing.TB, b []byte) {
	n := len(b) - signatureSize
	if !ed25519.Verify(h.priv.Public().(ed25519.PublicKey), b[:n], b[n:]) {
		tb.Fatal("not signed")
	}
	_, err := h.aead.Open(nil, b[:12], b[headerSize:n], b[:headerSize])
	ok(tb, err)
}

// quick signs with the Ed25519 key itself, which both sides do here: an nkeys
// pair derives the key from its seed anew for each signature.
type quick struct {
	person
	priv ed25519.PrivateKey
}

func (q quick) Sign(data []byte) ([]byte, error) { return ed25519.Sign(q.priv, data), nil }

func newQuick(tb testing.TB, p person) quick {
	tb.Helper()
	seed, err := p.Seed()
	ok(tb, err)
	_, raw, err := nkeys.DecodeSeed(seed)
	ok(tb, err)
	return quick{p, ed25519.NewKeyFromSeed(raw)}
}

// BenchmarkIdentity is why a client that sends much should keep the Ed25519 key (ours) instead of an nkeys pair (hand).
func BenchmarkIdentity(b *testing.B) {
	ann := newPerson(b, "ann")
	q, data := newQuick(b, ann), make([]byte, 200)
	compare(b, func() {}, func() { _, _ = q.Sign(data) }, func() { _, _ = ann.Sign(data) })
}

// BenchmarkMessage compares with sealing and signing by hand, both sides taking
// turns. The ratio is by hand over ours: 1 is as fast, more is faster.
func BenchmarkMessage(b *testing.B) {
	ann := newPerson(b, "ann")
	key := rekey(b, nil, ann, ann).Key
	for _, size := range []int{16, 1 << 10, 64 << 10} {
		text := make([]byte, size)
		s, err := NewSender(SenderConfig{Key: key, By: newQuick(b, ann)})
		ok(b, err)
		hand, in := newByHand(b), receiver(b, ReceiverConfig{}, key)
		var ours, theirs []byte
		seal, byHand := func() { ours, _ = s.Seal(text, start) }, func() { theirs = hand.seal(text) }
		b.Run(fmt.Sprintf("seal/%d", size), func(b *testing.B) { compare(b, func() {}, seal, byHand) })
		b.Run(fmt.Sprintf("open/%d", size), func(b *testing.B) {
			prepare := func() { seal(); byHand() }
			compare(b, prepare, func() {
				_, err := in.Open(ann.user, ours)
				ok(b, err)
			}, func() { hand.open(b, theirs) })
		})
	}
}

// compare lets both sides take turns, also in the order, and reports medians: other
// processes on the machine disturb single runs by more than the difference.
func compare(b *testing.B, prepare, ours, byHand func()) {
	b.Helper()
	sides := [2]func(){ours, byHand}
	var spent [2][]float64
	var ratios []float64
	for b.Loop() {
		prepare()
		var took [2]float64
		for i := range sides {
			side := (i + len(ratios)) % 2
			began := time.Now()
			sides[side]()
			took[side] = float64(time.Since(began))
			spent[side] = append(spent[side], took[side])
		}
		ratios = append(ratios, took[1]/took[0])
	}
	b.ReportMetric(quantile(spent[0], 0.5), "ours-ns")
	b.ReportMetric(quantile(spent[1], 0.5), "hand-ns")
	b.ReportMetric(quantile(spent[1], 0.5)/quantile(spent[0], 0.5), "ratio")
	b.ReportMetric(quantile(ratios, 0.1), "ratio-p10")
	b.ReportMetric(quantile(ratios, 0.9), "ratio-p90")
	b.ReportMetric(0, "ns/op")
}

func quantile(all []float64, q float64) float64 {
	slices.Sort(all)
	return all[int(q*float64(len(all)-1))]
}
