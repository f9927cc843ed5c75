package seal

import (
	"encoding/binary"

	"unibus/core"
)

// The kinds of box.
const (
	boxOfRecord = 1 // in the record's tree
	boxLate     = 2 // signed by an inviter
)

const (
	boxCore = 3 + hashSize + ctSize // the beginning of both kinds
	maxPath = 16                    // log2 of MaxMembers

	labelLateBox = "late-box"
)

// box is the content of SealedKey.Box.
type box struct {
	kind      byte
	kh        Hash
	ct        []byte
	coreBytes []byte

	// of a record
	index int
	path  []Hash

	// late
	record  Hash
	inviter core.UserID
	time    core.Millis
	signed  []byte
	sig     []byte
}

// parseBox reads a box of either kind.
func parseBox(b []byte) (box, bool) {
	r := reader{b: b}
	r.start()
	x := box{kind: r.u8(), kh: r.hash(), ct: r.take(ctSize)}
	if r.malformed {
		return box{}, false
	}
	x.coreBytes = b[:boxCore]
	switch x.kind {
	case boxOfRecord:
		x.index = int(r.u32())
		n := int(r.u8())
		r.malformed = r.malformed || n > maxPath
		for range min(n, maxPath) {
			x.path = append(x.path, r.hash())
		}
	case boxLate:
		x.record, x.inviter, x.time = r.hash(), r.user(), r.time()
		x.sig = r.take(signatureSize)
		x.signed = b[:max(0, len(b)-signatureSize)]
	default:
		return box{}, false
	}
	return x, r.done()
}

// newBoxCore is the beginning of both kinds.
func newBoxCore(kind byte, kh Hash, ct []byte) []byte {
	b := append(appendStart(make([]byte, 0, boxCore+512)), kind)
	return append(append(b, kh[:]...), ct...)
}

// recordBox makes a box of a record from its core.
func recordBox(core []byte, index int, path []Hash) []byte {
	b := binary.BigEndian.AppendUint32(core[:len(core):len(core)], uint32(index))
	b = append(b, byte(len(path)))
	for _, h := range path {
		b = append(b, h[:]...)
	}
	return b
}

// LateBoxConfig configures MakeLateBox.
type LateBoxConfig struct {
	Epoch *EpochKey   // the room's current one
	For   KEMKey      // of the new member
	By    Signer      // the inviter
	At    core.Millis // now
}

// MakeLateBox seals the key of an epoch to a member who joined after its record was
// made. The inviter signs it.
func MakeLateBox(cfg LateBoxConfig) (core.SealedKey, error) {
	inviter, err := signerID(cfg.By)
	if err != nil {
		return core.SealedKey{}, err
	}
	if cfg.Epoch == nil || cfg.For.key == nil {
		return core.SealedKey{}, errInvalid("a box needs an epoch's key and a member's KEM key")
	}
	r := cfg.Epoch.record
	ct, err := sealTo(r.Place, cfg.Epoch.key, cfg.For)
	if err != nil {
		return core.SealedKey{}, err
	}
	b, err := newLateBox(cfg, r, inviter, ct)
	if err != nil {
		return core.SealedKey{}, err
	}
	return sealedKey(r.Place, cfg.For.User, b, inviter, cfg.At), nil
}

func newLateBox(cfg LateBoxConfig, r Record, inviter core.UserID, ct []byte) ([]byte, error) {
	b := append(newBoxCore(boxLate, cfg.For.Hash, ct), r.Hash[:]...)
	b = appendTime(append(b, inviter...), max(cfg.At, 0))
	return appendSignature(b, cfg.By, labelLateBox, r.appendTo(nil), []byte(cfg.For.User), b)
}

func sealedKey(p Place, to core.UserID, b []byte, by core.UserID, at core.Millis) core.SealedKey {
	sealer := string(by)
	return core.SealedKey{Room: p.Room, Epoch: p.Epoch, Rec: p.Rec, User: to, Box: b, SealedBy: &sealer, Created: at}
}

// OpenedBox is an opened box.
type OpenedBox struct {
	Key     *EpochKey
	By      core.UserID // sealed it: the record's maker, or the inviter
	Late    bool        // by an inviter
	KEMHash Hash        // of the reader's key
	At      core.Millis // when an inviter sealed it, by that user's clock; 0 in a box of the record
}

// OpenBox opens a box from a store, with a verified record. ErrFormat; ErrBox if
// it was not sealed for me in that epoch; ErrKey if it was sealed to another KEM
// key than k; ErrCommitment if it contains another room key.
func OpenBox(r Record, sealed core.SealedKey, me core.UserID, k *KEM) (OpenedBox, error) {
	if (Place{sealed.Room, sealed.Epoch, sealed.Rec}) != r.Place || sealed.User != me {
		return OpenedBox{}, errFault(ErrBox, "the box is for %s in the room %s, epoch %d; requested was the one for %s in %s",
			sealed.User.Short(), sealed.Room, sealed.Epoch, me.Short(), r.Place)
	}
	x, ok := parseBox(sealed.Box)
	if !ok {
		return OpenedBox{}, errFault(ErrFormat, "the box for %s in %s cannot be read: %d bytes", me.Short(), r.Place, len(sealed.Box))
	}
	by, ok := x.sealedBy(r, me)
	if !ok {
		return OpenedBox{}, errFault(ErrBox, "the box for %s in %s is not the one that %s sealed", me.Short(), r.Place, by.Short())
	}
	if x.kh != k.hash {
		return OpenedBox{}, errFault(ErrKey, "the box for %s in %s was sealed by %s to another KEM key than the one at hand", me.Short(), r.Place, by.Short())
	}
	key, ok := k.open(r.Place, me, x.ct)
	if !ok {
		return OpenedBox{}, errFault(ErrBox, "the box for %s in %s does not open: %s sealed it for another place", me.Short(), r.Place, by.Short())
	}
	epoch, err := NewEpochKey(r, key)
	if err != nil {
		return OpenedBox{}, err
	}
	return OpenedBox{Key: epoch, By: by, Late: x.kind == boxLate, KEMHash: k.hash, At: x.time}, nil
}

// sealedBy returns the user who signed the box, and whether the signature holds.
func (x box) sealedBy(r Record, me core.UserID) (core.UserID, bool) {
	if x.kind == boxLate {
		return x.inviter, x.record == r.Hash && verifySignature(x.inviter, x.sig, labelLateBox, r.appendTo(nil), []byte(me), x.signed)
	}
	root, ok := rootFromPath(leafOf(string(me), x.kh, x.coreBytes), x.index, r.Count, x.path)
	return r.Maker, ok && root == r.root
}
