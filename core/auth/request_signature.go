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
	HeaderCluster   = "Unibus-Cluster"   // the cluster's public key
	HeaderChannel   = "Unibus-Channel"   // base64url without padding
	HeaderTime      = "Unibus-Time"      // Unix milliseconds by the sender's clock
	HeaderNonce     = "Unibus-Nonce"     // 16 to 64 of A-Za-z0-9
	HeaderSignature = "Unibus-Signature" // base64url without padding
)

// signedDomain keeps these signatures apart from all others. A NATS client
// signs any nonce that a server sends it, but that is text: it cannot begin with 0xFF.
const signedDomain = "\xffunibus.request.v2"

// Channel is the connection that a request was sent over, as its sender sees it:
// the SHA-256 of the certificate that the server showed, or zero without TLS. A
// relay with a connection of its own shows another certificate, and the cluster
// refuses the request.
type Channel [sha256.Size]byte

// ChannelOf returns the channel of a connection. certificate is the leaf in DER, empty without TLS.
func ChannelOf(certificate []byte) Channel {
	if len(certificate) == 0 {
		return Channel{}
	}
	return sha256.Sum256(certificate)
}

// String is the channel in its header form.
func (c Channel) String() string { return base64.RawURLEncoding.EncodeToString(c[:]) }

// parseChannel reads what String wrote.
func parseChannel(text string) (Channel, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != sha256.Size {
		return Channel{}, false
	}
	return Channel(b), true
}

// Signed is everything that the signature of a request covers.
type Signed struct {
	Cluster string // the cluster's public key: a request for one cluster means nothing in another
	Channel Channel
	Subject string // it holds the caller, the target and the verb
	Body    [sha256.Size]byte
	At      core.Millis
	Nonce   string
}

// NewSigned makes the content to be signed for a request that is sent now.
func NewSigned(cluster string, channel Channel, subject string, body []byte, now core.Millis) Signed {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand never fails: it ends the program instead
	return Signed{Cluster: cluster, Channel: channel, Subject: subject, Body: sha256.Sum256(body), At: now, Nonce: hex.EncodeToString(nonce[:])}
}

// Bytes is the one encoding that is signed: every field behind its length, so
// that no two requests share one.
func (s Signed) Bytes() []byte {
	return fields(signedDomain, []byte(s.Cluster), s.Channel[:], []byte(s.Subject), s.Body[:], binary.BigEndian.AppendUint64(nil, uint64(s.At)), []byte(s.Nonce))
}

// fields puts every field behind its length, after a domain.
func fields(domain string, all ...[]byte) []byte {
	out := []byte(domain)
	for _, field := range all {
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

// Verify is nil where the holder of a public nkey signed exactly this.
// KindRefused.
func Verify(key string, s Signed, signature []byte) error {
	kp, err := nkeys.FromPublicKey(key)
	if err != nil || !nkeys.IsValidPublicUserKey(key) {
		return core.Errorf(core.KindRefused, "the request does not come from a user's public nkey")
	}
	if err := kp.Verify(s.Bytes(), signature); err != nil {
		return core.Errorf(core.KindRefused, "the request's signature is wrong: %s did not sign this for the cluster with the key %s", short(key), s.Cluster).
			WithNext("send it with `unibusd` or the console, of the nodes' own version; a captured request cannot be changed or sent elsewhere")
	}
	return nil
}

func short(key string) string { return core.UserID(key).Short() }

// Headers puts a signature beside a request.
func Headers(s Signed, signature []byte) map[string][]string {
	return map[string][]string{
		HeaderCluster: {s.Cluster}, HeaderChannel: {s.Channel.String()}, HeaderTime: {strconv.FormatInt(int64(s.At), 10)}, HeaderNonce: {s.Nonce},
		HeaderSignature: {base64.RawURLEncoding.EncodeToString(signature)},
	}
}

// FromHeaders reads the signed content and the signature of a request for the
// cluster with this key, or, with "", for any. KindRefused where there is no
// signature, or one for another cluster; KindInvalid where the headers cannot be
// read.
func FromHeaders(h map[string][]string, cluster, subject string, body []byte) (Signed, []byte, error) {
	values := map[string]string{}
	for _, name := range []string{HeaderCluster, HeaderChannel, HeaderTime, HeaderNonce, HeaderSignature} {
		switch v := h[name]; {
		case len(v) == 1 && (v[0] != "" || name == HeaderCluster && cluster == ""):
			values[name] = v[0]
		case len(v) > 1:
			return Signed{}, nil, unreadable(name + " is there twice")
		default:
			return Signed{}, nil, core.Errorf(core.KindRefused, "the request is not signed: it has no %s", name).
				WithNext("send it with `unibusd` or the console, of the nodes' own version")
		}
	}
	given := values[HeaderCluster]
	if cluster != "" && given != cluster {
		return Signed{}, nil, core.Errorf(core.KindRefused, "the request was signed for the cluster with the key %.64q, this is the one with %q", given, cluster).
			WithNext("connect to the nodes of one cluster only: check --server")
	}
	at, err := strconv.ParseInt(values[HeaderTime], 10, 64)
	if err != nil || at < 0 || strconv.FormatInt(at, 10) != values[HeaderTime] {
		return Signed{}, nil, unreadable(HeaderTime + " is not a number of milliseconds")
	}
	if !validNonce(values[HeaderNonce]) {
		return Signed{}, nil, unreadable(HeaderNonce + " is not 16 to 64 letters and digits")
	}
	channel, ok := parseChannel(values[HeaderChannel])
	if !ok {
		return Signed{}, nil, unreadable(HeaderChannel + " is not a certificate's hash")
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(values[HeaderSignature])
	if err != nil || len(signature) != 64 {
		return Signed{}, nil, unreadable(HeaderSignature + " is not a signature")
	}
	return Signed{Cluster: given, Channel: channel, Subject: subject, Body: sha256.Sum256(body), At: core.Millis(at), Nonce: values[HeaderNonce]}, signature, nil
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
