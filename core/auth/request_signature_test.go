package auth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/auth"
)

var update = flag.Bool("update-vectors", false, "write testdata/signed.json anew: a change of the wire format")

// vector is a frozen example of a signed request: other versions must agree on every byte.
type vector struct {
	Seed        string      `json:"seed"`
	Cluster     string      `json:"cluster"`
	Certificate string      `json:"certificate"` // stands for its DER; "" without TLS
	Subject     string      `json:"subject"`
	Body        string      `json:"body"`
	At          core.Millis `json:"at"`
	Nonce       string      `json:"nonce"`
	Bytes       string      `json:"bytes"`     // hex
	Signature   string      `json:"signature"` // base64url; Ed25519 signatures are the same every time
}

func (v vector) signed() auth.Signed {
	s := auth.NewSigned(v.Cluster, auth.ChannelOf([]byte(v.Certificate)), v.Subject, []byte(v.Body), v.At)
	s.Nonce = v.Nonce
	return s
}

func (v vector) key(t testing.TB) nkeys.KeyPair {
	kp, err := nkeys.FromSeed([]byte(v.Seed))
	if err != nil {
		t.Fatal(err)
	}
	return kp
}

func TestSignedVectors(t *testing.T) {
	t.Parallel()
	const path = "testdata/signed.json"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) < 3 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	for i, v := range vectors {
		s, kp := v.signed(), v.key(t)
		signature, err := auth.Sign(s, kp.Sign)
		if err != nil {
			t.Fatal(err)
		}
		gotBytes, gotSignature := hex.EncodeToString(s.Bytes()), base64.RawURLEncoding.EncodeToString(signature)
		if *update {
			vectors[i].Bytes, vectors[i].Signature = gotBytes, gotSignature
			continue
		}
		if gotBytes != v.Bytes || gotSignature != v.Signature {
			t.Errorf("vector %d is signed in another way than before:\n%s\n%s", i, gotBytes, gotSignature)
		}
		if err := auth.Verify(pub(kp), s, signature); err != nil {
			t.Error(err)
		}
	}
	if *update {
		data, err := json.MarshalIndent(vectors, "", "  ")
		if err == nil {
			err = os.WriteFile(path, append(data, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSignatureCoversEverything: change any part, and nobody signed it. A server's nonce, signed, is none of ours.
func TestSignatureCoversEverything(t *testing.T) {
	t.Parallel()
	kp, other := newKey(t), newKey(t)
	s := auth.NewSigned("main", auth.ChannelOf([]byte("certificate")), "unibus.admin.v1.U.any.user-add", []byte("body"), 1_700_000_000_000)
	signature, err := auth.Sign(s, kp.Sign)
	if err != nil {
		t.Fatal(err)
	}
	if err := auth.Verify(pub(kp), s, signature); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*auth.Signed){
		"cluster":         func(s *auth.Signed) { s.Cluster = "test" },
		"channel":         func(s *auth.Signed) { s.Channel[0] ^= 1 },
		"no channel":      func(s *auth.Signed) { s.Channel = auth.Channel{} },
		"subject":         func(s *auth.Signed) { s.Subject = "unibus.admin.v1.U.node.n2.user-add" },
		"body":            func(s *auth.Signed) { s.Body[31] ^= 1 },
		"time":            func(s *auth.Signed) { s.At++ },
		"nonce":           func(s *auth.Signed) { s.Nonce = strings.Repeat("a", 32) },
		"a moved border":  func(s *auth.Signed) { s.Cluster, s.Subject = "mainu", s.Subject[1:] },
		"a moved border2": func(s *auth.Signed) { s.Cluster, s.Subject = "", "main"+s.Subject },
	} {
		changed := s
		change(&changed)
		if err := auth.Verify(pub(kp), changed, signature); core.KindOf(err) != core.KindRefused {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, key := range map[string]string{"another's": pub(other), "none": "", "not a key": "UX", "an account's": accountKey(t)} {
		if err := auth.Verify(key, s, signature); core.KindOf(err) != core.KindRefused {
			t.Errorf("the key is %s: %v", name, err)
		}
	}
	for name, sig := range map[string][]byte{"none": nil, "short": signature[:63], "long": append(bytes.Clone(signature), 0)} {
		if err := auth.Verify(pub(kp), s, sig); core.KindOf(err) != core.KindRefused {
			t.Errorf("the signature is %s: %v", name, err)
		}
	}
	if b := s.Bytes(); b[0] != 0xff {
		t.Errorf("begins with %x: a server could have it signed as its nonce", b[0])
	}
}

func main() string { return "main" }

// own knows one channel.
func own(c auth.Channel) bool { return c == auth.ChannelOf([]byte("certificate")) }

func newKey(t testing.TB) nkeys.KeyPair {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	return kp
}

func accountKey(t testing.TB) string {
	t.Helper()
	kp, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	return pub(kp)
}

func TestHeadersRoundTrip(t *testing.T) {
	t.Parallel()
	kp := newKey(t)
	s := auth.NewSigned("main", auth.ChannelOf([]byte("certificate")), "sub", []byte("body"), 1_700_000_000_000)
	signature, err := auth.Sign(s, kp.Sign)
	if err != nil {
		t.Fatal(err)
	}
	h := auth.Headers(s, signature)
	got, gotSignature, err := auth.FromHeaders(h, "main", "sub", []byte("body"))
	if err != nil || !bytes.Equal(gotSignature, signature) || cmp.Diff(s, got) != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, _, err := auth.FromHeaders(h, "test", "sub", nil); core.KindOf(err) != core.KindRefused || !strings.Contains(err.Error(), `"main"`) || !strings.Contains(err.Error(), "test") {
		t.Errorf("another cluster: %v", err)
	}
	for name, want := range map[string]core.Kind{auth.HeaderCluster: core.KindRefused, auth.HeaderTime: core.KindInvalid, auth.HeaderNonce: core.KindInvalid, auth.HeaderSignature: core.KindInvalid} {
		for _, values := range [][]string{nil, {}, {""}} {
			if _, _, err := with(h, name, values...); core.KindOf(err) != core.KindRefused {
				t.Errorf("%s is %q: %v", name, values, err)
			}
		}
		for _, values := range [][]string{{"a", "b"}, {h[name][0], h[name][0]}} {
			if _, _, err := with(h, name, values...); core.KindOf(err) != core.KindInvalid {
				t.Errorf("%s is %q: %v", name, values, err)
			}
		}
		for _, value := range []string{"-1", "+1", "01", "x", "9999999999999999999!", " ", "a.b", strings.Repeat("*", 32), "=\x00"} {
			if _, _, err := with(h, name, value); core.KindOf(err) != want {
				t.Errorf("%s is %q: %v", name, value, err)
			}
		}
	}
}

func with(h map[string][]string, name string, values ...string) (auth.Signed, []byte, error) {
	changed := map[string][]string{}
	for k, v := range h {
		changed[k] = v
	}
	changed[name] = values
	return auth.FromHeaders(changed, "main", "sub", []byte("body"))
}

// FuzzSignedHeaders: no headers admit anything that the key did not sign.
func FuzzSignedHeaders(f *testing.F) {
	data, err := os.ReadFile("testdata/signed.json")
	if err != nil {
		f.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		f.Fatal(err)
	}
	for _, v := range vectors {
		f.Add(v.Cluster, "1700000000000", v.Nonce, v.Signature, v.Subject, []byte(v.Body))
	}
	f.Add("main", "-1", "", "=", "", []byte(nil))
	kp := newKey(f)
	now := time.UnixMilli(1_700_000_000_000)
	f.Fuzz(func(t *testing.T, cluster, at, nonce, signature, subject string, body []byte) {
		h := map[string][]string{auth.HeaderCluster: {cluster}, auth.HeaderTime: {at}, auth.HeaderNonce: {nonce}, auth.HeaderSignature: {signature}}
		r := auth.Replay{Node: "n1", Cluster: main, IsClusterChannel: own, Own: auth.NewMemory(func() time.Time { return now }), Now: func() time.Time { return now }}
		if err := r.Admit(t.Context(), pub(kp), subject, h, body, false); err == nil {
			t.Fatal("admitted what nobody signed")
		}
		s, sig, err := auth.FromHeaders(h, "main", subject, body)
		if err != nil {
			return
		}
		again := auth.Headers(s, sig)
		if d := cmp.Diff(h, again); d != "" {
			t.Errorf("the headers have two forms: %s", d)
		}
	})
}

// FuzzSignedBytes: two requests that differ never have the same bytes.
func FuzzSignedBytes(f *testing.F) {
	f.Add("a", "bc", "n", int64(1), "ab", "c", "n", int64(1))
	f.Fuzz(func(t *testing.T, c1, s1, n1 string, t1 int64, c2, s2, n2 string, t2 int64) {
		a := auth.Signed{Cluster: c1, Subject: s1, Nonce: n1, At: core.Millis(t1)}
		b := auth.Signed{Cluster: c2, Subject: s2, Nonce: n2, At: core.Millis(t2)}
		if (a == b) != bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%+v and %+v", a, b)
		}
	})
}

// clocked is a Replay with a clock of its own and nonces that answer as told.
type clocked struct {
	*auth.Replay
	now    time.Time
	answer error
	asked  []string
}

func (c *clocked) Create(_ context.Context, key string) error {
	c.asked = append(c.asked, key)
	return c.answer
}

func newClocked(node string) *clocked {
	c := &clocked{now: time.UnixMilli(1_700_000_000_000)}
	now := func() time.Time { return c.now }
	c.Replay = &auth.Replay{Node: node, Cluster: main, IsClusterChannel: own, Nonces: c, Own: auth.NewMemory(now), Now: now}
	return c
}

// send signs a request at a time and offers it as often as wanted.
func send(t *testing.T, c *clocked, kp nkeys.KeyPair, at time.Time, restores bool) func() error {
	t.Helper()
	s := auth.NewSigned("main", auth.ChannelOf([]byte("certificate")), "sub", []byte("body"), core.MillisOf(at))
	signature, err := auth.Sign(s, kp.Sign)
	if err != nil {
		t.Fatal(err)
	}
	return func() error {
		return c.Admit(t.Context(), pub(kp), "sub", auth.Headers(s, signature), []byte("body"), restores)
	}
}

func TestSkewedClockIsNamed(t *testing.T) {
	t.Parallel()
	c, kp := newClocked("n1"), newKey(t)
	for _, apart := range []time.Duration{-auth.Window, 0, auth.Window} {
		if err := send(t, c, kp, c.now.Add(apart), false)(); err != nil {
			t.Errorf("%s apart: %v", apart, err)
		}
	}
	for _, apart := range []time.Duration{-auth.Window - time.Millisecond, auth.Window + time.Millisecond, -3 * time.Hour, 1e6 * time.Hour} {
		err := send(t, c, kp, c.now.Add(apart), true)()
		if core.KindOf(err) != core.KindRefused {
			t.Fatalf("%s apart: %v", apart, err)
		}
		for _, want := range []string{c.now.Add(apart).UTC().Format(time.DateTime), "2023-11-14 22:13:20 UTC", "n1"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not name %s", err, want)
			}
		}
	}
}

func TestReplayIsRefused(t *testing.T) {
	t.Parallel()
	kp := newKey(t)
	for name, answer := range map[string]error{"fresh": nil, "used elsewhere": core.Errorf(core.KindExists, "x")} {
		c := newClocked("n1")
		c.answer = answer
		first := send(t, c, kp, c.now, false)
		if err := first(); (err == nil) != (answer == nil) || err != nil && core.KindOf(err) != core.KindRefused {
			t.Errorf("%s: %v", name, err)
		}
		c.answer = nil
		if err := first(); core.KindOf(err) != core.KindRefused {
			t.Errorf("%s, once more: %v", name, err)
		}
		if len(c.asked) != 1 || !strings.HasPrefix(c.asked[0], pub(kp)+".") {
			t.Errorf("%s: the nonces were asked for %q", name, c.asked)
		}
	}
}

// TestWithoutQuorumOnlyRescuesGoOn: and those only once on this node, and not from before its start.
func TestWithoutQuorumOnlyRescuesGoOn(t *testing.T) {
	t.Parallel()
	c, kp := newClocked("n1"), newKey(t)
	c.answer = core.Errorf(core.KindUnavailable, "no quorum")
	if err := send(t, c, kp, c.now, false)(); core.KindOf(err) != core.KindUnavailable || !strings.Contains(err.Error(), "nothing was done") {
		t.Errorf("an ordinary request: %v", err)
	}
	rescue := send(t, c, kp, c.now, true)
	if err := rescue(); err != nil {
		t.Error(err)
	}
	if err := rescue(); core.KindOf(err) != core.KindRefused {
		t.Errorf("twice: %v", err)
	}
	if err := send(t, c, kp, c.now.Add(-time.Second), true)(); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("from before the start: %v", err)
	}
}

// TestAloneRemembersSinceItsStart: no request from before it, and none twice however the clock goes.
func TestAloneRemembersSinceItsStart(t *testing.T) {
	t.Parallel()
	c, kp := newClocked("n1"), newKey(t)
	c.Nonces = nil
	if err := send(t, c, kp, c.now.Add(-time.Millisecond), false)(); core.KindOf(err) != core.KindUnavailable {
		t.Errorf("from before the start: %v", err)
	}
	request := send(t, c, kp, c.now.Add(auth.Window), false)
	if err := request(); err != nil {
		t.Fatal(err)
	}
	for range 24 { // until it is out of the window
		c.now = c.now.Add(5 * time.Second)
		if err := request(); core.KindOf(err) != core.KindRefused {
			t.Fatalf("at %s: %v", c.now, err)
		}
	}
	c.now = c.now.Add(time.Second)
	if err := request(); core.KindOf(err) != core.KindRefused || strings.Contains(err.Error(), "used before") {
		t.Errorf("after the window: %v", err)
	}
}

func TestGrantAuditCannotDestroy(t *testing.T) {
	t.Parallel()
	g := auth.GrantAudit("n1")
	want := []string{
		"unibus.audit.n1.>", "$JS.API.STREAM.INFO.UNIBUS_audit", "$JS.API.STREAM.CREATE.UNIBUS_audit",
		"$JS.API.STREAM.UPDATE.UNIBUS_audit", "$JS.API.STREAM.MSG.GET.UNIBUS_audit",
	}
	if d := cmp.Diff(want, g.Publish); d != "" || g.Account != auth.AccountControl {
		t.Error(d, g.Account)
	}
	if d := cmp.Diff([]string{"_INBOX.>", "unibus.audit.>"}, g.Subscribe); d != "" {
		t.Error(d)
	}
}

func TestGrantEventsCannotDestroy(t *testing.T) {
	t.Parallel()
	g := auth.GrantEvents("n1")
	want := []string{
		"unibus.history.n1", "$JS.API.STREAM.INFO.UNIBUS_events", "$JS.API.STREAM.CREATE.UNIBUS_events",
		"$JS.API.STREAM.UPDATE.UNIBUS_events", "$JS.API.STREAM.MSG.GET.UNIBUS_events",
	}
	if d := cmp.Diff(want, g.Publish); d != "" || g.Account != auth.AccountControl {
		t.Error(d, g.Account)
	}
}
