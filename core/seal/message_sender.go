package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"sync/atomic"

	"unibus/core"
)

// SenderConfig configures NewSender.
type SenderConfig struct {
	Key *EpochKey
	By  Signer
}

// Sender seals messages of one user in one epoch. It is safe for concurrent
// use. Make a new one after each rekey and each start; never copy its memory.
type Sender struct {
	cfg     SenderConfig
	user    core.UserID
	session Session
	aead    cipher.AEAD
	bound   []byte
	sent    atomic.Uint64
}

// NewSender begins a session.
func NewSender(cfg SenderConfig) (*Sender, error) {
	var s Session
	_, _ = rand.Read(s[:]) // crypto/rand never fails: it ends the program instead
	return newSender(cfg, s)
}

func newSender(cfg SenderConfig, session Session) (*Sender, error) {
	user, err := signerID(cfg.By)
	if err != nil {
		return nil, err
	}
	if cfg.Key == nil {
		return nil, errInvalid("a sender needs the key of an epoch")
	}
	aead, err := cfg.Key.session(user, session)
	if err != nil {
		return nil, err
	}
	return &Sender{cfg: cfg, user: user, session: session, aead: aead, bound: messageBinding(cfg.Key.record.Room, user)}, nil
}

// Sent is how many messages were sealed.
func (s *Sender) Sent() uint64 { return min(s.sent.Load(), maxCounter) }

// Record is the record of the epoch in which it sends.
func (s *Sender) Record() Record { return s.cfg.Key.record }

// Seal makes a message of a text, Overhead bytes longer. now is the time in it.
// ErrLimit if the text is too long or the session is used up.
func (s *Sender) Seal(text []byte, now core.Millis) ([]byte, error) {
	r := s.cfg.Key.record
	if len(text) > MaxPlaintext {
		return nil, errFault(ErrLimit, "a message of %d bytes to the room %s is too long: at most %d", len(text), r.Room, MaxPlaintext)
	}
	if s.sent.Load() >= maxCounter { // checked before, so that the counter never wraps around
		return nil, errFault(ErrLimit, "%d messages were sent to %s in one session", uint64(maxCounter), r.Place)
	}
	h := header{r.Epoch, r.Hash, s.session, s.sent.Add(1) - 1, max(now, 0)}
	if h.counter >= maxCounter {
		return nil, errFault(ErrLimit, "%d messages were sent to %s in one session", uint64(maxCounter), r.Place)
	}
	b := h.appendTo(make([]byte, 0, len(text)+Overhead))
	b = s.aead.Seal(b, h.nonce(), text, associatedData(s.bound, b))
	return appendSignature(b, s.cfg.By, labelMessage, s.bound, b[:headerSize], sha256Of(b[headerSize:]))
}
