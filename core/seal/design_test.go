package seal_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/seal"
)

// The formulas of DESIGN.md, built again from it alone: only the readers are the
// package's, and they must take the result.

const at = 1_700_000_000_000

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }
func label(w string) []byte      { return []byte("\xffunibus.seal." + w + ".v1") }
func u32(n uint32) []byte        { return binary.BigEndian.AppendUint32(nil, n) }
func u64(n uint64) []byte        { return binary.BigEndian.AppendUint64(nil, n) }

func appendString(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func h(parts ...[]byte) []byte {
	s := sha256.Sum256(cat(parts...))
	return s[:]
}

type writer struct {
	id   string
	priv ed25519.PrivateKey
}

func newWriter(t *testing.T) writer {
	t.Helper()
	kp, err := nkeys.CreateUser()
	ok(t, err)
	pub, err := kp.PublicKey()
	ok(t, err)
	seed, err := kp.Seed()
	ok(t, err)
	_, raw, err := nkeys.DecodeSeed(seed)
	ok(t, err)
	return writer{pub, ed25519.NewKeyFromSeed(raw)}
}

func (w writer) Public() string                   { return w.id }
func (w writer) Sign(data []byte) ([]byte, error) { return ed25519.Sign(w.priv, data), nil }
func (w writer) signed(body, prefix []byte) []byte {
	return append(body, ed25519.Sign(w.priv, cat(prefix, body))...)
}

func place(room string, epoch uint64, rec string) []byte {
	return cat(appendString(room), u64(epoch), appendString(rec))
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expand(t *testing.T, prk []byte, info ...[]byte) []byte {
	t.Helper()
	out, err := hkdf.Expand(sha256.New, prk, string(cat(info...)), 32)
	ok(t, err)
	return out
}

func TestReimplementationOfTheDesign(t *testing.T) {
	t.Parallel()
	ann := newWriter(t)
	private, err := seal.NewKEM()
	ok(t, err)
	raw, err := private.Bytes()
	ok(t, err)
	k, err := hpke.MLKEM768X25519().NewPrivateKey(raw)
	ok(t, err)
	pk, id, zero := k.PublicKey().Bytes(), []byte(ann.id), make([]byte, 32)

	// section 3
	kemKey := ann.signed(cat([]byte{1, 1}, u64(at), pk), cat(label("kem-key"), id))
	published, err := seal.ParseKEMKey(core.UserID(ann.id), kemKey)
	ok(t, err)
	kh := h(label("kem-hash"), pk)
	if string(published.Hash[:]) != string(kh) {
		t.Error("the KEM key has another name")
	}

	// section 4, of two epochs
	type epoch struct{ p, prk, commit []byte }
	keys := func(n uint64, rec string, secret byte) epoch {
		p := place("lobby", n, rec)
		key := make([]byte, 32)
		key[0] = secret
		prk, err := hkdf.Extract(sha256.New, key, h(label("room-key"), p))
		ok(t, err)
		return epoch{p, prk, expand(t, prk, label("commitment"))}
	}
	one, two := keys(1, "first", 1), keys(2, "second", 2)

	// section 5
	boxCore := func(e epoch, secret byte) []byte {
		key := make([]byte, 32)
		key[0] = secret
		ct, err := hpke.Seal(k.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), cat(label("box"), []byte{1}, e.p, id, kh), key)
		ok(t, err)
		return cat(kh, ct)
	}
	core1, core2 := cat([]byte{1, 1, 1}, boxCore(one, 1)), cat([]byte{1, 1, 1}, boxCore(two, 2))
	leaf := func(c []byte) []byte { return h([]byte{0}, label("leaf"), id, kh, h(c)) }

	// section 6: the second record is of two members, ann the second of them
	body1 := cat([]byte{1, 1}, one.p, appendString("0"), zero, u64(at), []byte{1}, id, u32(1), leaf(core1), one.commit)
	record1 := ann.signed(cat(body1, zero), label("record"))
	hash1 := h(label("record-hash"), record1)
	root := h([]byte{1}, zero, leaf(core2))
	body2 := cat([]byte{1, 1}, two.p, appendString("first"), hash1, u64(at), []byte{2}, id, u32(2), root, two.commit)
	mac := hmac.New(sha256.New, expand(t, one.prk, label("link")))
	mac.Write(cat(label("link"), body2))
	record2 := ann.signed(cat(body2, mac.Sum(nil)), label("record"))
	hash2 := h(label("record-hash"), record2)

	late := cat([]byte{1, 1, 2}, boxCore(two, 2), hash2, id, u64(at))
	late = ann.signed(late, cat(label("late-box"), two.p, id))

	chain := seal.NewChain("lobby")
	r, err := chain.TrustFirst(core.EpochRecord{Room: "lobby", Epoch: 1, Rec: "first", Prev: "0", Record: record1})
	ok(t, err)
	row := core.SealedKey{Room: "lobby", Epoch: 1, Rec: "first", User: core.UserID(ann.id), Box: cat(core1, u32(0), []byte{0})}
	o, err := seal.OpenBox(r, row, core.UserID(ann.id), private)
	ok(t, err)
	r, err = chain.Advance(core.EpochRecord{Room: "lobby", Epoch: 2, Rec: "second", Prev: "first", Record: record2}, o.Key)
	ok(t, err)
	for _, b := range [][]byte{cat(core2, u32(1), []byte{1}, zero), late} {
		o, err = seal.OpenBox(r, core.SealedKey{Room: "lobby", Epoch: 2, Rec: "second", User: core.UserID(ann.id), Box: b}, core.UserID(ann.id), private)
		ok(t, err)
	}

	// section 7
	session := slices.Repeat([]byte{7}, 16)
	header := cat([]byte{1, 1}, u64(2), hash2, session, u64(5), u64(at))
	block, err := aes.NewCipher(expand(t, two.prk, label("message-key"), id, session))
	ok(t, err)
	aead, err := cipher.NewGCM(block)
	ok(t, err)
	tied := cat(appendString("lobby"), id)
	sealed := aead.Seal(nil, cat(u32(0), u64(5)), []byte("by hand"), cat(label("header"), tied, header))
	sig := ed25519.Sign(ann.priv, cat(label("message"), tied, header, h(sealed)))
	in := seal.NewReceiver(seal.ReceiverConfig{Room: "lobby"})
	ok(t, in.Advance(o.Key))
	m, err := in.Open(core.UserID(ann.id), cat(header, sealed, sig))
	ok(t, err)
	if string(m.Text) != "by hand" || m.Counter != 5 || m.Time != at {
		t.Errorf("%+v", m)
	}
}
