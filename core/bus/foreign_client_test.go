package bus_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
)

// forbiddenSubjects are subjects that the user a, a member of the rooms "r" and "both",
// must not have, by the right that each would give.
func (r *fixture) forbiddenSubjects() map[string]string {
	a, b := r.a.Public(), r.b.Public()
	return map[string]string{
		"another's subject in a shared room":  "unibus.room.both." + b,
		"another's room":                      "unibus.room.other." + a,
		"another's subject in their own room": "unibus.room.other." + b,
		"a room that does not exist":          "unibus.room.none." + a,
		"a room whose name begins like one":   "unibus.room.rr." + a,
		"a room below a room":                 "unibus.room.r.x." + a,
		"a subject below one's own":           "unibus.room.r." + a + ".x",
		"a room alone":                        "unibus.room.r",
		"one's own subject in lower case":     "unibus.room.r." + strings.ToLower(a),
		"another case of the subject":         "UNIBUS.room.r." + a,
		"another's control":                   "unibus.control.v1." + b + ".room-create",
		"control without a key":               "unibus.control.v1.room-create",
		"another version of control":          "unibus.control.v2." + a + ".room-create",
		"the operators' protocol":             "unibus.admin.v1." + a + ".any.status",
		"an operator's subject":               "unibus.admin.v1." + r.admin.Public() + ".any.user-revoke",
		"the peers' protocol":                 "unibus.peer.v1.all.ended",
		"events":                              "unibus.events.v1",
		"another's inbox":                     "_INBOX." + b + ".x",
		"an inbox without a key":              "_INBOX.x",
		"an inbox that begins like one's own": "_INBOX." + a + "x.y",
		"JetStream":                           "$JS.API.INFO",
		"a bucket":                            "$KV.UNIBUS_users." + a,
		"a stream's message":                  "$JS.API.STREAM.MSG.GET.KV_UNIBUS_users",
		"an acknowledgement":                  "$JS.ACK.x",
		"the audit's view":                    "CTL.API.STREAM.LIST",
		"the system":                          "$SYS.REQ.SERVER.PING",
		"one's own account":                   "$SYS.REQ.USER.INFO",
		"raft":                                "$NRG.AE.x",
		"services":                            "$SRV.PING",
		"leaf nodes":                          "$LDS.x",
		"anything":                            "foo",
	}
}

// forbiddenPatterns are patterns of which a part would be allowed.
func (r *fixture) forbiddenPatterns() []string {
	return []string{
		">", "*", "*.>", "unibus.>", "unibus.*.>", "unibus.room.>", "unibus.room.*", "unibus.room.*.*", "unibus.room.*." + r.a.Public(),
		"unibus.room.both*", "unibus.*.r.>", "_INBOX.>", "_INBOX.*.>", "_INBOX.*.x", "$JS.>", "$KV.>", "$SYS.>", "unibus.control.>", "unibus.control.v1." + r.a.Public() + ".>",
	}
}

// TestForeignClientGetsNothingElse tries every subject in every way.
func TestForeignClientGetsNothingElse(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := r.open(t, r.config(t, "n1"))
	nc := r.mustDial(t, s, r.a)
	for what, subject := range r.forbiddenSubjects() {
		if mayPublish(t, nc, subject) {
			t.Errorf("publish %s: %s", subject, what)
		}
		if mayPublishWith(t, nc, &nats.Msg{Subject: subject, Reply: "_INBOX." + r.a.Public() + ".x"}) {
			t.Errorf("request %s: %s", subject, what)
		}
		if mayPublishWith(t, nc, &nats.Msg{Subject: subject, Header: nats.Header{"X": {"y"}}}) {
			t.Errorf("publish %s with a header: %s", subject, what)
		}
		if strings.HasPrefix(subject, "unibus.room.both.") || strings.HasPrefix(subject, "unibus.room.r.") {
			continue // listening in one's own rooms is allowed
		}
		if maySubscribe(t, nc, subject) || mayQueue(t, nc, subject) {
			t.Errorf("subscribe %s: %s", subject, what)
		}
	}
	for _, subject := range r.forbiddenPatterns() {
		if maySubscribe(t, nc, subject) || mayQueue(t, nc, subject) {
			t.Errorf("subscribe %s", subject)
		}
		if !strings.HasPrefix(subject, "unibus.control.v1."+r.a.Public()+".") && mayPublish(t, nc, subject) {
			t.Errorf("publish %s", subject)
		}
	}
	permissions{ // its own subjects are allowed, by the same means
		pub: []string{"unibus.room.r." + r.a.Public(), "unibus.room.both." + r.a.Public(), "unibus.control.v1." + r.a.Public() + ".x"},
		sub: []string{"unibus.room.r.>", "unibus.room.both.*", "unibus.room.both." + r.b.Public(), "_INBOX." + r.a.Public() + ".>"},
	}.check(t, nc)
}

func mayPublishWith(t *testing.T, nc *nats.Conn, m *nats.Msg) bool {
	t.Helper()
	before := nc.LastError()
	must(t, nc.PublishMsg(m))
	return allowed(t, nc, before)
}

func mayQueue(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	before := nc.LastError()
	_, err := nc.QueueSubscribeSync(subject, "q")
	must(t, err)
	return allowed(t, nc, before)
}

// TestForeignReplySubjects: a client that answers a request publishes with its own
// rights to the reply subject. Two users of one room cannot make each other publish
// elsewhere, also where the other answers any request.
func TestForeignReplySubjects(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := r.open(t, r.config(t, "n1"))
	requester, responder := r.mustDial(t, s, r.a), r.mustDial(t, s, r.b)
	requests := make(chan *nats.Msg, 256)
	_, err := responder.ChanSubscribe("unibus.room.both.>", requests)
	must(t, err)
	must(t, responder.Flush())
	own := "unibus.room.both." + r.b.Public()
	for what, reply := range r.forbiddenSubjects() {
		if reply == own { // it may publish on its own subject of the shared room
			continue
		}
		if !mayPublishWith(t, requester, &nats.Msg{Subject: "unibus.room.both." + r.a.Public(), Reply: reply}) {
			continue // the server keeps this one for itself
		}
		var m *nats.Msg
		select {
		case m = <-requests:
		case <-time.After(10 * time.Second):
			t.Fatalf("the request with the reply %s was lost", reply)
		}
		before := responder.LastError()
		must(t, m.Respond([]byte("answer")))
		if strings.HasPrefix(reply, "unibus.control.v1."+r.b.Public()) {
			continue // the control service drops requests without a signature and a reply of the caller's own
		}
		if reply == "unibus.room.other."+r.b.Public() {
			continue // the responder's own room
		}
		if allowed(t, responder, before) {
			t.Errorf("an answer went to %s: %s", reply, what)
		}
	}
}

// FuzzRoomSubjects: with any ids in a store, a grant allows its own rooms and nothing wider.
func FuzzRoomSubjects(f *testing.F) {
	id, err := keys.GenerateIdentity()
	if err != nil {
		f.Fatal(err)
	}
	for _, room := range []string{"r", "*", ">", "a.b", "", "a b", "_x", "ſ", strings.Repeat("x", 65)} {
		f.Add(room)
	}
	f.Fuzz(func(t *testing.T, room string) {
		d := &directory{active: map[core.UserID]bool{core.UserID(id.Public()): true}, rooms: map[core.UserID][]core.RoomID{core.UserID(id.Public()): {core.RoomID(room)}}}
		nonce := []byte("nonce")
		sig, err := id.Sign(nonce)
		must(t, err)
		g, err := auth.New(auth.Config{Mode: core.BusAuthEnforce, Users: d}).Decide(context.Background(), auth.Request{Key: id.Public(), Nonce: nonce, Signature: sig})
		if _, bad := core.ParseRoomID(room); (err != nil) != (bad != nil) {
			t.Fatalf("%q: %v, and the id %v", room, err, bad)
		}
		for _, subject := range append(g.Publish, g.Subscribe[:]...) {
			own := subject == auth.HeartbeatSubject(core.RoomID(room), id.Public())
			tokens := strings.Split(strings.TrimSuffix(subject, ".beat"), ".")
			if own != strings.HasSuffix(subject, ".beat") {
				t.Fatalf("%q grants %q", room, subject)
			}
			if strings.HasPrefix(subject, "unibus.room.") && (len(tokens) != 4 || tokens[2] != room || strings.ContainsAny(room, "*> \t")) {
				t.Fatalf("%q grants %q", room, subject)
			}
		}
	})
}

// TestNodeClient tries the same subjects with the npm package nats. UNIBUS_NODE_MODULES
// names the directory that holds node_modules/nats.
func TestNodeClient(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("UNIBUS_NODE_MODULES")
	if dir == "" {
		t.Skip("UNIBUS_NODE_MODULES is not set: give the directory in which `npm install nats` was run")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("PATH has no program node")
	}
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.CertFile, cfg.KeyFile = "", "" // that client does not accept a certificate for an address
	s := r.open(t, cfg)
	seed := filepath.Join(t.TempDir(), "a.nk")
	r.a = r.userWithSeedFile(t, seed)
	script, err := filepath.Abs("testdata/foreign.cjs")
	must(t, err)
	var subjects []string
	for _, subject := range r.forbiddenSubjects() {
		subjects = append(subjects, subject)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, script)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"), "SERVER="+s.Addr(),
		"SEED="+seed, "OWN=unibus.room.r."+r.a.Public(), "USER_KEY="+r.a.Public(), "SUBJECTS="+strings.Join(subjects, "\n"))
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), problems.String())
	}
	if !strings.Contains(out.String(), "done") {
		t.Errorf("the script printed %q", out.String())
	}
}

// userWithSeedFile adds a user of the rooms "r" and "both", and writes the seed to a file.
func (r *fixture) userWithSeedFile(t *testing.T, path string) keys.Identity {
	t.Helper()
	kp, err := nkeys.CreateUser()
	must(t, err)
	seed, err := kp.Seed()
	must(t, err)
	must(t, keys.WriteSeed(path, seed))
	id, err := keys.ReadSeed(path)
	must(t, err)
	r.users.set(id, true)
	r.users.join(id, "r", "both")
	return id
}
