package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// The headers that carry a signature beside a request.
const (
	HeaderCluster   = "Unibus-Cluster"   // only for the text of a refusal: the signature covers the receiver's own name
	HeaderTime      = "Unibus-Time"      // Unix milliseconds by the sender's clock
	HeaderNonce     = "Unibus-Nonce"     // 16 to 64 of A-Za-z0-9
	HeaderSignature = "Unibus-Signature" // base64url without padding
)

// signedDomain keeps these signatures apart from all others. A NATS client
// signs whatever nonce a server sends it, but that is text: it cannot begin with 0xFF.
const signedDomain = "\xffunibus.request.v1"

// Signed is what the signature of a request covers.
type Signed struct {
	Cluster string // a request for one cluster means nothing in another
	Subject string // who asks, whom and for what (DESIGN D7)
	Body    [sha256.Size]byte
	At      core.Millis
	Nonce   string
}

// NewSigned makes what is to be signed for a request that is sent now.
func NewSigned(cluster, subject string, body []byte, now core.Millis) Signed {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand never fails: it ends the program instead
	return Signed{Cluster: cluster, Subject: subject, Body: sha256.Sum256(body), At: now, Nonce: hex.EncodeToString(nonce[:])}
}

// Bytes is the one encoding that is signed: every field behind its length, so
// that no two requests share one.
func (s Signed) Bytes() []byte {
	out := []byte(signedDomain)
	for _, field := range [][]byte{
		[]byte(s.Cluster), []byte(s.Subject), s.Body[:], binary.BigEndian.AppendUint64(nil, uint64(s.At)), []byte(s.Nonce),
	} {
		out = binary.BigEndian.AppendUint64(out, uint64(len(field)))
		out = append(out, field...)
	}
	return out
}

// Sign signs a request with an nkey's own function.
func Sign(s Signed, sign func([]byte) ([]byte, error)) ([]byte, error) {
	signature, err := sign(s.Bytes())
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the request cannot be signed: %w", err)
	}
	return signature, nil
}

// Verify says whether the holder of a public nkey signed exactly this. KindRefused.
func Verify(key string, s Signed, signature []byte) error {
	kp, err := nkeys.FromPublicKey(key)
	if err != nil || !nkeys.IsValidPublicUserKey(key) {
		return core.Errorf(core.KindRefused, "the request comes from no user's public nkey")
	}
	if err := kp.Verify(s.Bytes(), signature); err != nil {
		return core.Errorf(core.KindRefused, "the request's signature is wrong: %s did not sign this for the cluster %s", short(key), s.Cluster).
			WithNext("send it with `unibusd` or the console, of the nodes' own version; a captured request cannot be changed or sent elsewhere")
	}
	return nil
}

func short(key string) string { return core.UserID(key).Short() }

// Headers puts a signature beside a request.
func Headers(s Signed, signature []byte) map[string][]string {
	return map[string][]string{
		HeaderCluster: {s.Cluster}, HeaderTime: {strconv.FormatInt(int64(s.At), 10)}, HeaderNonce: {s.Nonce},
		HeaderSignature: {base64.RawURLEncoding.EncodeToString(signature)},
	}
}

// FromHeaders reads what was signed and the signature of a request that came
// for this cluster. KindRefused where there is no signature, or one for another
// cluster; KindInvalid where the headers cannot be read.
func FromHeaders(h map[string][]string, cluster, subject string, body []byte) (Signed, []byte, error) {
	fields := [4]string{}
	for i, name := range []string{HeaderCluster, HeaderTime, HeaderNonce, HeaderSignature} {
		switch values := h[name]; {
		case len(values) == 1 && values[0] != "":
			fields[i] = values[0]
		case len(values) > 1:
			return Signed{}, nil, unreadable(name + " is there twice")
		default:
			return Signed{}, nil, core.Errorf(core.KindRefused, "the request is not signed: it changes something, and has no %s", name).
				WithNext("send it with `unibusd` or the console, of the nodes' own version")
		}
	}
	if fields[0] != cluster {
		return Signed{}, nil, core.Errorf(core.KindRefused, "the request was signed for the cluster %.64q, this is %s", fields[0], cluster).
			WithNext("connect to the nodes of one cluster alone: look at --server")
	}
	at, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || at < 0 || strconv.FormatInt(at, 10) != fields[1] {
		return Signed{}, nil, unreadable(HeaderTime + " is not a number of milliseconds")
	}
	if !validNonce(fields[2]) {
		return Signed{}, nil, unreadable(HeaderNonce + " is not 16 to 64 letters and digits")
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(fields[3])
	if err != nil || len(signature) != 64 {
		return Signed{}, nil, unreadable(HeaderSignature + " is not a signature")
	}
	return Signed{Cluster: cluster, Subject: subject, Body: sha256.Sum256(body), At: core.Millis(at), Nonce: fields[2]}, signature, nil
}

func unreadable(why string) error {
	return core.Errorf(core.KindInvalid, "the request's signature cannot be read: %s", why)
}

func validNonce(s string) bool {
	if len(s) < 16 || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		default:
			return false
		}
	}
	return true
}
