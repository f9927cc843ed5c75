package seal

import (
	"crypto/hpke"
	"crypto/sha256"

	"unibus/core"
)

// KEMKeySize is the length in bytes of a published key (users.kem_key).
const KEMKeySize = 2 + 8 + pkSize + signatureSize

const (
	pkSize  = 1216
	ctSize  = 1120 + RoomKeySize + 16
	kemTime = 2 // offsets
	kemPK   = kemTime + 8
	kemSig  = kemPK + pkSize
)

// Labels of signed and hashed bytes, behind 0xFF.
const (
	labelKEMKey  = "kem-key"
	labelKEMHash = "kem-hash"
)

func kem() hpke.KEM { return hpke.MLKEM768X25519() }

// KEM is the private key to which room keys are sealed. It stays on the user's
// device. The result of Bytes must be kept like a seed.
type KEM struct {
	key  hpke.PrivateKey
	hash Hash
}

// NewKEM creates a key.
func NewKEM() (*KEM, error) {
	k, err := kem().GenerateKey()
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "no KEM key could be made: %w", err)
	}
	return kemOf(k), nil
}

// ParseKEM reads the 32 bytes of Bytes. KindInvalid.
func ParseKEM(b []byte) (*KEM, error) {
	k, err := kem().NewPrivateKey(b)
	if err != nil {
		return nil, errInvalid("this is not a private KEM key")
	}
	return kemOf(k), nil
}

func kemOf(k hpke.PrivateKey) *KEM {
	return &KEM{key: k, hash: hashOf(labelKEMHash, k.PublicKey().Bytes())}
}

// Bytes is the private key, 32 bytes.
func (k *KEM) Bytes() ([]byte, error) {
	b, err := k.key.Bytes()
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the KEM key has no bytes: %w", err)
	}
	return b, nil
}

// Hash names the key.
func (k *KEM) Hash() Hash { return k.hash }

// Publish signs the public key of a user: the bytes of users.kem_key. The time at
// must be later than that of the key that this one replaces.
func (k *KEM) Publish(by Signer, at core.Millis) ([]byte, error) {
	user, err := signerID(by)
	if err != nil {
		return nil, err
	}
	b := appendTime(appendStart(make([]byte, 0, KEMKeySize)), max(at, 0))
	b = append(b, k.key.PublicKey().Bytes()...)
	return appendSignature(b, by, labelKEMKey, []byte(user), b)
}

// KEMKey is a user's published key whose signature holds.
type KEMKey struct {
	User core.UserID
	Time core.Millis // of publication, by the user's clock
	Hash Hash

	key hpke.PublicKey
}

// ParseKEMKey reads a published key. ErrFormat; ErrKey if it is not signed by this user.
func ParseKEMKey(user core.UserID, b []byte) (KEMKey, error) {
	user, err := core.ParseUserID(string(user))
	if err != nil {
		return KEMKey{}, err
	}
	r := reader{b: b}
	r.start()
	at, pk, sig := r.time(), r.take(pkSize), r.take(signatureSize)
	if !r.done() {
		return KEMKey{}, errFault(ErrFormat, "the KEM key of %s cannot be read: %d bytes", user.Short(), len(b))
	}
	if !verifySignature(user, sig, labelKEMKey, []byte(user), b[:kemSig]) {
		return KEMKey{}, errFault(ErrKey, "the KEM key of %s is not signed by that user: it was altered or put in its place", user.Short())
	}
	key, err := kem().NewPublicKey(pk)
	if err != nil {
		return KEMKey{}, errFault(ErrFormat, "the KEM key of %s is not a valid key", user.Short())
	}
	return KEMKey{User: user, Time: at, Hash: hashOf(labelKEMHash, pk), key: key}, nil
}

// Follows checks that k may replace an earlier key of the same user. ErrRollback
// if k is older; ErrKey if it is another one of the same time.
func (k KEMKey) Follows(known KEMKey) error {
	switch {
	case k.User != known.User:
		return errInvalid("the KEM keys of %s and %s are not one user's", k.User.Short(), known.User.Short())
	case k.Time < known.Time:
		return errFault(ErrRollback, "the KEM key of %s is of %s, and one of %s is known", k.User.Short(), when(k.Time), when(known.Time))
	case k.Time == known.Time && k.Hash != known.Hash:
		return errFault(ErrKey, "there are two KEM keys of %s of the same time, %s", k.User.Short(), when(k.Time))
	}
	return nil
}

func when(t core.Millis) string { return t.Time().Format("2006-01-02 15:04:05") }

// sealTo seals a room's key for one member. The result does not name the user who sealed it.
func sealTo(p Place, key RoomKey, to KEMKey) ([]byte, error) {
	ct, err := hpke.Seal(to.key, hpke.HKDFSHA256(), hpke.AES256GCM(), boxInfo(p, to.User, to.Hash), key.b[:])
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the key of %s cannot be sealed to %s: %w", p, to.User.Short(), err)
	}
	return ct, nil
}

// open is the inverse of sealTo, for the member user.
func (k *KEM) open(p Place, user core.UserID, ct []byte) (key RoomKey, ok bool) {
	b, err := hpke.Open(k.key, hpke.HKDFSHA256(), hpke.AES256GCM(), boxInfo(p, user, k.hash), ct)
	if err != nil || len(b) != RoomKeySize {
		return RoomKey{}, false
	}
	copy(key.b[:], b)
	return key, true
}

// boxInfo binds a box to its room, epoch, record, member and key.
func boxInfo(p Place, user core.UserID, kh Hash) []byte {
	return append(append(p.appendTo(append(label("box"), suite1)), user...), kh[:]...)
}

// sha256Of is the SHA-256 of b.
func sha256Of(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}
