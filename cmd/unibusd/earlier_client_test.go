package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/client"
	"unibus/core/keys"
	"unibus/core/seal"
)

var earlierClient = flag.String("earlier-client", "", "a program with core/client of before members signed; `make compat` builds it")

// TestEarlierClient: a program from before signed membership takes part in a room whose
// members sign, as an invited user, and as the second program of a member. It is told why it
// cannot, with a next step. It sends nothing in the clear, lets no ghost in, and the room of
// the others stays as it is.
func TestEarlierClient(t *testing.T) {
	if *earlierClient == "" {
		t.Skip("no earlier client is given: make compat")
	}
	s := newStory(t)
	ann, bob, cem := s.user("ann"), s.user("bob"), s.user("cem")
	plans := s.create(ann, client.NewRoom{ID: "plans", Encrypted: true})
	s.invite(plans, bob)
	ghost := s.ghost("ghost")
	wire := s.wire(ann)
	if err := plans.SetRole(t.Context(), bob.id, core.MemberAdmin); err != nil {
		t.Fatal(err)
	}
	before := must[seal.RoomNumber](t)(plans.SafetyNumber(t.Context()))
	epoch := epochOf(t, plans)

	if err := plans.Invite(t.Context(), cem.id, core.MemberMember); err != nil {
		t.Fatal(err)
	}
	did := s.earlier(cem, ghost)
	for _, what := range []string{"accept", "room"} {
		if did[what].Kind != core.KindRefused || did[what].Next == "" {
			t.Errorf("somebody who is invited: %s: %+v", what, did[what])
		}
	}
	if err := plans.Remove(t.Context(), cem.id); err != nil {
		t.Fatal(err)
	}
	did = s.earlier(bob, ghost)
	for what, got := range did {
		if refused := got.Kind != ""; refused != (what != "open") || refused && (got.Text == "" || got.Next == "") {
			t.Errorf("a member: %s: %+v", what, got)
		}
	}
	s.talk("plans", ann, bob)
	s.talk("plans", bob, ann)
	s.getsNothing(ghost, ann, bob)
	now := must[seal.RoomNumber](t)(plans.SafetyNumber(t.Context()))
	if now.Seq != before.Seq+2 || epochOf(t, plans) != epoch+1 { // cem's invitation and its end; ann's own new key
		t.Errorf("the room went from statement %d and epoch %d to %d and %d", before.Seq, epoch, now.Seq, epochOf(t, plans))
	}
	wire.isSealed(t)
}

// did is what an earlier client says became of what it tried.
type did struct {
	Did  string
	Kind core.Kind
	Text string
	Next string
}

// secret is the text that an earlier client tries to send.
const secret = "in the clear"

// earlier runs the earlier client as a user, with a directory of its own.
func (s *story) earlier(u *person, ghost *ghostUser) map[string]did {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), *earlierClient, "-servers", strings.Join(s.p.URLs(), ","), "-seed", u.seed, "-dir", s.t.TempDir(),
		"-room", "plans", "-ghost", string(ghost.id), "-secret", secret)
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("the earlier client ended with %v\n%s", err, out)
	}
	all := map[string]did{}
	for lines := json.NewDecoder(bytes.NewReader(out)); ; {
		var d did
		if err := lines.Decode(&d); err == io.EOF {
			return all
		} else if err != nil {
			s.t.Fatalf("%v\n%s", err, out)
		}
		s.t.Logf("%s's earlier client: %s: %s (%s)", u.name, d.Did, d.Text, d.Next)
		all[d.Did] = d
	}
}

// wire is what passed in the room, as a member without the SDK receives it.
type wire struct {
	mu  sync.Mutex
	all []*nats.Msg
}

// wire listens in the room with a second session of a member's.
func (s *story) wire(u *person) *wire {
	s.t.Helper()
	w := &wire{}
	nc := must[*nats.Conn](s.t)(s.p.Connect(0, must[keys.Identity](s.t)(keys.ReadSeed(u.seed))))
	s.t.Cleanup(nc.Close)
	must[*nats.Subscription](s.t)(nc.Subscribe(auth.RoomSubject("plans", "*"), func(m *nats.Msg) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all = append(w.all, m)
	}))
	if err := nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return w
}

// isSealed: messages passed, and each is an envelope or a request for the key.
func (w *wire) isSealed(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.all {
		isEnvelope := len(m.Data) > seal.Overhead && m.Data[0] == 1
		if bytes.Contains(m.Data, []byte(secret)) || !isEnvelope && !bytes.HasPrefix(m.Data, []byte{0xff}) && !strings.HasSuffix(m.Subject, "_control") {
			t.Errorf("on %s passed %.60q", m.Subject, m.Data)
		}
	}
	if len(w.all) == 0 {
		t.Error("nothing passed")
	}
}
