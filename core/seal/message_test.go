package seal

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"unibus/core"
)

func sender(t testing.TB, k *EpochKey, by person) *Sender {
	t.Helper()
	s, err := NewSender(SenderConfig{Key: k, By: by})
	ok(t, err)
	return s
}

func sealed(t testing.TB, k *EpochKey, by person, text string) []byte {
	t.Helper()
	return say(t, sender(t, k, by), text)
}

func say(t testing.TB, s *Sender, text string) []byte {
	t.Helper()
	b, err := s.Seal([]byte(text), start)
	ok(t, err)
	return b
}

func receiver(t testing.TB, cfg ReceiverConfig, keys ...*EpochKey) *Receiver {
	t.Helper()
	cfg.Room = "lobby"
	r := NewReceiver(cfg)
	for _, k := range keys {
		ok(t, r.Advance(k))
	}
	return r
}

func TestMessageRoundTrip(t *testing.T) {
	t.Parallel()
	ann, bob := newPerson(t, "ann"), newPerson(t, "bob")
	r := rekey(t, nil, ann, ann, bob)
	s, in := sender(t, r.Key, ann), receiver(t, ReceiverConfig{}, opened(t, r, bob))
	n := uint64(0)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOf(rapid.Byte()).Draw(t, "text")
		at := core.Millis(rapid.Int64Range(0, 1<<42).Draw(t, "at"))
		b, err := s.Seal(text, at)
		ok(t, err)
		m, err := in.Open(ann.user, b)
		ok(t, err)
		if !bytes.Equal(m.Text, text) || len(b) != len(text)+Overhead || m.Time != at || m.Sender != ann.user || m.Epoch != 1 ||
			m.Counter != n || m.First != (n == 0) || m.Missing != 0 || m.Reordered {
			t.Fatalf("%d bytes came as %+v", len(text), m)
		}
		n++
	})
	if s.Sent() != n || in.Messages() != n || s.Record().Hash != r.Key.record.Hash {
		t.Errorf("%d sent, %d read, want %d", s.Sent(), in.Messages(), n)
	}
}

func TestEveryBitOfAMessageCounts(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	r := rekey(t, nil, ann, ann)
	in, msg := receiver(t, ReceiverConfig{}, r.Key), sealed(t, r.Key, ann, "sixteen bytes...")
	eachBit(msg, func(what string, flipped []byte) {
		if _, err := in.Open(ann.user, flipped); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	})
	cuts(msg, func(what string, cut []byte) {
		if _, err := in.Open(ann.user, cut); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	})
	m, err := in.Open(ann.user, msg) // what was refused has spoiled nothing
	ok(t, err)
	if string(m.Text) != "sixteen bytes..." {
		t.Errorf("%q", m.Text)
	}
}

// TestCipherStandsWithoutTheSignature: the sender itself signs what was altered, bit by bit.
func TestCipherStandsWithoutTheSignature(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	r := rekey(t, nil, ann, ann)
	in, msg := receiver(t, ReceiverConfig{}, r.Key), sealed(t, r.Key, ann, "text")
	eachBit(msg[:len(msg)-signatureSize], func(what string, flipped []byte) {
		b, err := appendSignature(bytes.Clone(flipped), ann, labelMessage, messageBinding("lobby", ann.user), flipped[:headerSize], sha256Of(flipped[headerSize:]))
		ok(t, err)
		if _, err := in.Open(ann.user, b); err == nil {
			t.Errorf("%s is taken", what)
		} else if errors.Is(err, ErrSignature) {
			t.Fatalf("%s: the test signs in another way", what)
		}
	})
	_, err := in.Open(ann.user, msg)
	ok(t, err)
}

func TestMessageStaysWhereItIs(t *testing.T) {
	t.Parallel()
	ann, bob := newPerson(t, "ann"), newPerson(t, "bob")
	r := rekey(t, nil, ann, ann, bob)
	msg := sealed(t, r.Key, ann, "text")
	in := receiver(t, ReceiverConfig{}, r.Key)
	_, err := in.Open(bob.user, msg)
	refused(t, err, ErrSignature)
	attic := NewReceiver(ReceiverConfig{Room: "attic"})
	_, err = attic.Open(ann.user, msg)
	refused(t, err, ErrSignature)
	_, err = in.Open("*", msg)
	invalid(t, err)
	invalid(t, attic.Advance(r.Key))
	invalid(t, attic.Advance(nil))
}

func TestRepeatsAndOrder(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	r := rekey(t, nil, ann, ann)
	s, in := sender(t, r.Key, ann), receiver(t, ReceiverConfig{}, r.Key)
	all := make([][]byte, windowSize+10)
	for i := range all {
		all[i] = say(t, s, "text")
	}
	for _, c := range []struct {
		n         int
		missing   uint64
		reordered bool
		want      Fault
	}{
		{n: 3},
		{n: 3, want: ErrReplay},
		{n: 1, reordered: true},
		{n: 1, want: ErrReplay},
		{n: 7, missing: 3},
		{n: 8},
		{n: windowSize + 9, missing: windowSize},
		{n: 9, want: ErrTooOld},
		{n: 8, want: ErrTooOld},
		{n: 10, reordered: true},
		{n: 10, want: ErrReplay},
	} {
		m, err := in.Open(ann.user, all[c.n])
		if c.want != "" {
			refused(t, err, c.want)
			continue
		}
		ok(t, err)
		if m.Missing != c.missing || m.Reordered != c.reordered {
			t.Errorf("message %d: %d missing, reordered %v", c.n, m.Missing, m.Reordered)
		}
	}
}

// TestOneOfManyIsTaken: the same message from many goroutines at once.
func TestOneOfManyIsTaken(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	r := rekey(t, nil, ann, ann)
	in, msg := receiver(t, ReceiverConfig{}, r.Key), sealed(t, r.Key, ann, "text")
	var wg sync.WaitGroup
	taken := make([]bool, 16)
	for i := range taken {
		wg.Go(func() {
			_, err := in.Open(ann.user, msg)
			taken[i] = err == nil
		})
	}
	wg.Wait()
	n := 0
	for _, x := range taken {
		if x {
			n++
		}
	}
	if n != 1 {
		t.Errorf("taken %d times", n)
	}
}

// TestSecondLookDecides: two who were both told that a message is new.
func TestSecondLookDecides(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	r := rekey(t, nil, ann, ann)
	in := receiver(t, ReceiverConfig{}, r.Key)
	m, _ := parseMessage(sealed(t, r.Key, ann, "text"))
	first, err := in.cipherFor(ann.user, m)
	ok(t, err)
	second, err := in.cipherFor(ann.user, m)
	ok(t, err)
	_, err = in.recordOpened(ann.user, m, first, nil)
	ok(t, err)
	_, err = in.recordOpened(ann.user, m, second, nil)
	refused(t, err, ErrReplay)
}

func TestConcurrentSendersNeverShareACounter(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	s := sender(t, rekey(t, nil, ann, ann).Key, ann)
	var wg sync.WaitGroup
	all := make([][]byte, 200)
	for i := range 4 {
		wg.Go(func() {
			for j := i; j < len(all); j += 4 {
				all[j], _ = s.Seal([]byte("text"), start)
			}
		})
	}
	wg.Wait()
	seen := map[uint64]bool{}
	for _, b := range all {
		m, fits := parseMessage(b)
		if !fits || seen[m.counter] {
			t.Fatalf("counter %d twice, or not readable", m.counter)
		}
		seen[m.counter] = true
	}
}

func TestEpochsComeAndGo(t *testing.T) {
	t.Parallel()
	ann, bob := newPerson(t, "ann"), newPerson(t, "bob")
	first := rekey(t, nil, ann, ann, bob)
	second, fork := rekey(t, first.Key, ann, ann), rekey(t, first.Key, bob, bob)
	now := time.UnixMilli(int64(start))
	in := receiver(t, ReceiverConfig{Now: clockAt(&now)})
	old, fresh := sender(t, first.Key, bob), sender(t, second.Key, ann)

	_, err := in.Open(bob.user, say(t, old, "too early"))
	refused(t, err, ErrFutureEpoch)
	ok(t, in.Advance(first.Key))
	late := say(t, fresh, "from the next epoch")
	_, err = in.Open(ann.user, late)
	refused(t, err, ErrFutureEpoch)
	ok(t, in.Advance(second.Key))
	ok(t, in.Advance(second.Key)) // again: nothing to do
	_, err = in.Open(ann.user, late)
	ok(t, err) // the refusal did not spoil it
	refused(t, in.Advance(first.Key), ErrRollback)
	refused(t, in.Advance(fork.Key), ErrFork)
	_, err = in.Open(bob.user, sealed(t, fork.Key, bob, "another history"))
	refused(t, err, ErrFork)

	under := say(t, old, "under way")
	now = now.Add(29 * time.Second)
	_, err = in.Open(bob.user, under)
	ok(t, err)
	_, err = in.Open(bob.user, under)
	refused(t, err, ErrReplay)
	now = now.Add(time.Second)
	_, err = in.Open(bob.user, say(t, old, "too late"))
	refused(t, err, ErrOldEpoch)
	if n := in.Messages(); n != 1 {
		t.Errorf("%d messages in the epoch", n)
	}

	strict := receiver(t, ReceiverConfig{Grace: -1}, first.Key, second.Key)
	_, err = strict.Open(bob.user, say(t, old, "text"))
	refused(t, err, ErrOldEpoch)
}

// TestSignedAndNotDecrypting: a member who seals under another session's key is told apart from a server that alters.
func TestSignedAndNotDecrypting(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	r := rekey(t, nil, ann, ann)
	s := sender(t, r.Key, ann)
	s.session[0] ^= 1 // what it says is no longer what its key is of
	_, err := receiver(t, ReceiverConfig{}, r.Key).Open(ann.user, say(t, s, "text"))
	refused(t, err, ErrCiphertext)
}

func TestClosedSessionsStayClosed(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	r := rekey(t, nil, ann, ann)
	in := receiver(t, ReceiverConfig{}, r.Key)
	var all [][]byte
	for range maxOpen + 1 {
		s := sender(t, r.Key, ann)
		all = append(all, say(t, s, "text"))
		_, err := in.Open(ann.user, all[len(all)-1])
		ok(t, err)
	}
	_, err := in.Open(ann.user, all[0]) // pushed out by the last one, and not forgotten
	refused(t, err, ErrTooOld)
	_, err = in.Open(ann.user, all[1])
	refused(t, err, ErrReplay)

	closed := in.epochs[0].senders[ann.user].closed
	for i := range maxClosed {
		closed[Session{byte(i), byte(i >> 8), byte(i >> 16)}] = struct{}{}
	}
	_, err = in.Open(ann.user, sealed(t, r.Key, ann, "one session too many"))
	refused(t, err, ErrLimit)
}

func TestAfterARestart(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	r := rekey(t, nil, ann, ann)
	s := sender(t, r.Key, ann)
	before := say(t, s, "text")
	later, err := s.Seal([]byte("text"), start+1)
	ok(t, err)
	in := receiver(t, ReceiverConfig{NotBefore: start + 1}, r.Key)
	_, err = in.Open(ann.user, before)
	refused(t, err, ErrTooOld)
	_, err = in.Open(ann.user, later)
	ok(t, err)
	m, err := in.Open(ann.user, before) // of a session that is known now, and only late
	ok(t, err)
	if !m.Reordered {
		t.Errorf("%+v", m)
	}
}

func TestSenderLimits(t *testing.T) {
	t.Parallel()
	ann := newPerson(t, "ann")
	r := rekey(t, nil, ann, ann)
	s, in := sender(t, r.Key, ann), receiver(t, ReceiverConfig{}, r.Key)
	big, err := s.Seal(make([]byte, MaxPlaintext), start)
	ok(t, err)
	_, err = in.Open(ann.user, big)
	ok(t, err)
	_, err = s.Seal(make([]byte, MaxPlaintext+1), start)
	refused(t, err, ErrLimit)
	_, err = in.Open(ann.user, append(big, 0))
	refused(t, err, ErrFormat)
	s.sent.Store(maxCounter - 1)
	_, err = in.Open(ann.user, say(t, s, "the last"))
	ok(t, err)
	for range 3 {
		_, err = s.Seal(nil, start)
		refused(t, err, ErrLimit)
	}
	if s.Sent() != maxCounter {
		t.Errorf("%d sent", s.Sent())
	}
	_, err = in.Open(ann.user, beyond(t, s, r.Key.record))
	refused(t, err, ErrFormat)
	_, err = NewSender(SenderConfig{By: ann})
	invalid(t, err)
	_, err = NewSender(SenderConfig{Key: r.Key})
	invalid(t, err)
}

// beyond is the message that a sender must not make: one more than a session has.
func beyond(t *testing.T, s *Sender, r Record) []byte {
	t.Helper()
	h := header{r.Epoch, r.Hash, s.session, maxCounter, start}
	b := h.appendTo(nil)
	b = s.aead.Seal(b, h.nonce(), nil, associatedData(s.bound, b))
	b, err := appendSignature(b, s.cfg.By, labelMessage, s.bound, b[:headerSize], sha256Of(b[headerSize:]))
	ok(t, err)
	return b
}
