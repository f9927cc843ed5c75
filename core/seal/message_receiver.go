package seal

import (
	"crypto/cipher"
	"slices"
	"sync"
	"time"

	"unibus/core"
)

// Limits of a receiver's memory for one sender in one epoch.
const (
	maxOpen   = 64      // sessions whose windows are kept
	maxClosed = 1 << 16 // sessions of which only the id is
)

// ReceiverConfig configures NewReceiver.
type ReceiverConfig struct {
	Room core.RoomID
	// Grace is the time for which messages of an epoch are read after a newer epoch
	// is known: they were under way. 0 is 30 s, a negative Grace is none.
	Grace time.Duration
	// NotBefore refuses sessions that are new to this receiver and whose message
	// claims an older time: after a restart nothing else shows that they are
	// repeats. 0 refuses none.
	NotBefore core.Millis
	// Now is the clock by which Grace ends; nil is time.Now.
	Now func() time.Time
}

// Receiver opens the messages of one room. It is safe for concurrent use.
type Receiver struct {
	cfg ReceiverConfig

	mu     sync.Mutex
	epochs []*epochReader // ascending; the last is the current one
}

// epochReader is a receiver's state of one epoch.
type epochReader struct {
	key      *EpochKey
	until    time.Time // of those before the last
	senders  map[core.UserID]*senderSessions
	messages uint64
}

// senderSessions are those of one sender in one epoch.
type senderSessions struct {
	open   map[Session]*session
	closed map[Session]struct{}
	clock  uint64
}

type session struct {
	aead cipher.AEAD
	seen window
	used uint64
}

// NewReceiver makes a receiver that knows no epoch yet.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	if cfg.Grace == 0 {
		cfg.Grace = 30 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Receiver{cfg: cfg}
}

// Advance makes an epoch the current one. KindInvalid for another room,
// ErrRollback for an older epoch, ErrFork for another key of the current one.
func (r *Receiver) Advance(k *EpochKey) error {
	if k == nil || k.record.Room != r.cfg.Room {
		return errInvalid("a receiver of the room %s takes keys of that room", r.cfg.Room)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.epochs); n > 0 {
		last := r.epochs[n-1]
		switch at := last.key.record; {
		case k.record.Hash == at.Hash:
			return nil
		case k.record.Epoch == at.Epoch:
			return errFault(ErrFork, "%s is read by another record already", at.Place)
		case k.record.Epoch < at.Epoch:
			return errFault(ErrRollback, "%s is no more: epoch %d is read", k.record.Place, at.Epoch)
		}
		last.until = r.cfg.Now().Add(r.cfg.Grace)
	}
	r.dropExpiredEpochs()
	r.epochs = append(r.epochs, &epochReader{key: k, senders: map[core.UserID]*senderSessions{}})
	return nil
}

// dropExpiredEpochs drops epochs whose grace has ended.
func (r *Receiver) dropExpiredEpochs() {
	now := r.cfg.Now()
	r.epochs = slices.DeleteFunc(r.epochs, func(e *epochReader) bool { return !e.until.IsZero() && !now.Before(e.until) })
}

// Messages is the number of opened messages of the current epoch, for
// Record.RekeyDue.
func (r *Receiver) Messages() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.epochs) == 0 {
		return 0
	}
	return r.epochs[len(r.epochs)-1].messages
}

// Open opens a message from sender, the user in the subject. The errors are those
// of DESIGN.md section 7, in that order. A refused message changes nothing.
func (r *Receiver) Open(sender core.UserID, msg []byte) (Message, error) {
	from, err := core.ParseUserID(string(sender))
	if err != nil {
		return Message{}, err
	}
	m, ok := parseMessage(msg)
	if !ok {
		return Message{}, errFault(ErrFormat, "a message of %s in the room %s cannot be read: %d bytes", from.Short(), r.cfg.Room, len(msg))
	}
	tied := messageBinding(r.cfg.Room, from)
	if !verifySignature(from, m.sig, labelMessage, tied, m.raw, sha256Of(m.sealed)) {
		return Message{}, errFault(ErrSignature, "a message in the room %s is not signed by %s, its supposed sender", r.cfg.Room, from.Short())
	}
	aead, err := r.cipherFor(from, m)
	if err != nil {
		return Message{}, err
	}
	text, err := aead.Open(nil, m.nonce(), m.sealed, associatedData(tied, m.raw))
	if err != nil {
		return Message{}, errFault(ErrCiphertext, "a message of %s in the room %s, epoch %d, does not decrypt", from.Short(), r.cfg.Room, m.epoch)
	}
	return r.recordOpened(from, m, aead, text)
}

// cipherFor returns the cipher for a message, unless its epoch or session is
// refused.
func (r *Receiver) cipherFor(from core.UserID, m message) (cipher.AEAD, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, s, err := r.findSession(from, m)
	if err != nil {
		return nil, err
	}
	if s != nil {
		return s.aead, nil
	}
	return e.key.session(from, m.session)
}

// recordOpened records an opened message. It checks again, because another
// goroutine may have opened the same one.
func (r *Receiver) recordOpened(from core.UserID, m message, aead cipher.AEAD, text []byte) (Message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, s, err := r.findSession(from, m)
	if err != nil {
		return Message{}, err
	}
	out := Message{Text: text, Sender: from, Epoch: m.epoch, Session: m.session, Counter: m.counter, Time: m.time, First: s == nil}
	if s == nil {
		s = e.openSession(from, m.session, aead)
	}
	out.Missing, out.Reordered = s.seen.add(m.counter)
	all := e.senders[from]
	all.clock++
	s.used = all.clock
	e.messages++
	return out, nil
}

// findSession returns a message's epoch and session; a nil session is a new one.
func (r *Receiver) findSession(from core.UserID, m message) (*epochReader, *session, error) {
	e, err := r.findEpoch(from, m)
	if err != nil {
		return nil, nil, err
	}
	all := e.senders[from]
	if all == nil {
		all = &senderSessions{} // to read from
	}
	s := all.open[m.session]
	_, closed := all.closed[m.session]
	fault := Fault("")
	switch {
	case s != nil:
		fault = s.seen.check(m.counter)
	case closed, m.time < r.cfg.NotBefore:
		fault = ErrTooOld
	case len(all.closed) >= maxClosed:
		fault = ErrLimit
	}
	if fault != "" {
		return nil, nil, errFault(fault, "message %d of %s in the room %s, session %s, is refused: %s", m.counter, from.Short(), r.cfg.Room, m.session, fault)
	}
	return e, s, nil
}

func (r *Receiver) findEpoch(from core.UserID, m message) (*epochReader, error) {
	r.dropExpiredEpochs()
	i := slices.IndexFunc(r.epochs, func(e *epochReader) bool { return e.key.record.Epoch == m.epoch })
	last := len(r.epochs) - 1
	switch {
	case i >= 0 && r.epochs[i].key.record.Hash == m.record:
		return r.epochs[i], nil
	case i >= 0:
		return nil, errFault(ErrFork, "%s writes in the room %s, epoch %d, by another record than the one known here", from.Short(), r.cfg.Room, m.epoch)
	case last < 0 || m.epoch > r.epochs[last].key.record.Epoch:
		return nil, errFault(ErrFutureEpoch, "%s writes in the room %s, epoch %d, of which there is no key here yet", from.Short(), r.cfg.Room, m.epoch)
	}
	return nil, errFault(ErrOldEpoch, "%s writes in the room %s, epoch %d, which is over", from.Short(), r.cfg.Room, m.epoch)
}

// openSession opens a session. With too many it closes the sender's least recently
// used one.
func (e *epochReader) openSession(from core.UserID, id Session, aead cipher.AEAD) *session {
	all := e.senders[from]
	if all == nil {
		all = &senderSessions{open: map[Session]*session{}, closed: map[Session]struct{}{}}
		e.senders[from] = all
	}
	if len(all.open) >= maxOpen {
		all.closeOldest()
	}
	s := &session{aead: aead}
	all.open[id] = s
	return s
}

func (s *senderSessions) closeOldest() {
	var oldest Session
	used := ^uint64(0)
	for id, o := range s.open {
		if o.used < used {
			oldest, used = id, o.used
		}
	}
	delete(s.open, oldest)
	s.closed[oldest] = struct{}{}
}
