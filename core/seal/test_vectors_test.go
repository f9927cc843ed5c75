package seal

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/cryptotest"

	"unibus/core"
)

var update = flag.Bool("update-vectors", false, "write testdata/*.json anew: a change of the protocol, which needs a new version or suite")

// The vectors are frozen: other versions must read them, and parts without randomness must come out the
// same. Bytes are base64, as in every JSON of unibus. Of each person the seed and the private KEM key are
// there.
type vectors struct {
	People   []personVector
	Epochs   []epochVector
	Messages []messageVector
}

type personVector struct {
	Seed   string      `json:"seed"` // nkey
	User   core.UserID `json:"user"`
	KEM    []byte      `json:"kem"` // private
	Time   core.Millis `json:"time"`
	KEMKey []byte      `json:"kem_key"`

	person person
}

type epochVector struct {
	Key     []byte           `json:"key"`
	Reason  Reason           `json:"reason"`
	Time    core.Millis      `json:"time"`
	Maker   core.UserID      `json:"maker"`
	Record  core.EpochRecord `json:"record"`
	Hash    Hash             `json:"hash"`
	Linked  bool             `json:"linked"` // to the epoch before
	Boxes   []core.SealedKey `json:"boxes"`
	Inviter core.UserID      `json:"inviter"`
	Late    core.SealedKey   `json:"late"`
}

type messageVector struct {
	Epoch   core.Epoch  `json:"epoch"`
	Sender  core.UserID `json:"sender"`
	Session []byte      `json:"session"`
	Counter uint64      `json:"counter"`
	Time    core.Millis `json:"time"`
	Text    []byte      `json:"text"`
	Message []byte      `json:"message"`
}

func (v *vectors) files() map[string]any {
	return map[string]any{"people.json": &v.People, "epochs.json": &v.Epochs, "messages.json": &v.Messages}
}

func readVectors(t *testing.T) *vectors {
	t.Helper()
	v := &vectors{}
	for name, into := range v.files() {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		ok(t, err)
		ok(t, json.Unmarshal(data, into))
	}
	if len(v.People) < 4 || len(v.Epochs) < 3 || len(v.Messages) < 5 {
		t.Fatal("there are too few vectors")
	}
	for i, p := range v.People {
		v.People[i].person = p.read(t)
	}
	return v
}

// read checks a person's vector.
func (p personVector) read(t *testing.T) person {
	t.Helper()
	out := personOf(t, []byte(p.Seed), p.KEM)
	b, err := out.kem.Publish(out, p.Time)
	ok(t, err)
	if out.user != p.User || !bytes.Equal(b, p.KEMKey) {
		t.Errorf("%s publishes other bytes than before", p.User)
	}
	out.key, err = ParseKEMKey(p.User, p.KEMKey)
	ok(t, err)
	return out
}

func (v *vectors) who(t *testing.T, u core.UserID) person {
	t.Helper()
	for _, p := range v.People {
		if p.User == u {
			return p.person
		}
	}
	t.Fatalf("%s is not among the people", u)
	return person{}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	v := readVectors(t)
	c := NewChain("lobby")
	in := receiver(t, ReceiverConfig{})
	var keys []*EpochKey
	for _, e := range v.Epochs {
		keys = append(keys, e.check(t, v, c, keys))
		ok(t, in.Advance(keys[len(keys)-1]))
	}
	for i, m := range v.Messages {
		e := keys[m.Epoch-keys[0].record.Epoch]
		s, err := newSender(SenderConfig{Key: e, By: v.who(t, m.Sender)}, Session(m.Session))
		ok(t, err)
		s.sent.Store(m.Counter)
		b, err := s.Seal(m.Text, m.Time)
		ok(t, err)
		if !bytes.Equal(b, m.Message) {
			t.Errorf("message %d is sealed in another way than before", i)
		}
		got, err := in.Open(m.Sender, m.Message)
		ok(t, err)
		if !bytes.Equal(got.Text, m.Text) || got.Counter != m.Counter || got.Time != m.Time {
			t.Errorf("message %d opens as %+v", i, got)
		}
	}
}

// check reads an epoch as its members do, and makes it again from the ciphertexts that are there.
func (e epochVector) check(t *testing.T, v *vectors, c *Chain, before []*EpochKey) *EpochKey {
	t.Helper()
	r, prev := e.follow(t, c, before)
	if r.Hash != e.Hash || r.Maker != e.Maker || r.Time != e.Time || r.Reason != e.Reason || r.Count != len(e.Boxes) {
		t.Errorf("%+v", r)
	}
	cfg := RecordConfig{Room: r.Room, Epoch: r.Epoch, Rec: r.Rec, By: v.who(t, e.Maker), At: e.Time, Reason: e.Reason, PrevKey: prev}
	if len(before) > 0 {
		cfg.Prev = &before[len(before)-1].record
	}
	var err error
	cfg.Key, err = parseRoomKey(e.Key)
	ok(t, err)
	var cores [][]byte
	for _, k := range append(e.Boxes, e.Late) {
		p := v.who(t, k.User)
		o, err := OpenBox(r, k, k.User, p.kem)
		ok(t, err)
		if o.Key.RoomKey() != cfg.Key || o.Late != (k.User == e.Late.User) {
			t.Errorf("%s opens another key", k.User)
		}
		if !o.Late {
			cfg.Members, cores = append(cfg.Members, p.key), append(cores, k.Box[:boxCore:boxCore])
		}
	}
	m, err := newRecordMaker(cfg)
	ok(t, err)
	made, err := m.finish(cores)
	ok(t, err)
	e.same(t, v, made)
	return made.Key
}

func (e epochVector) follow(t *testing.T, c *Chain, before []*EpochKey) (r Record, prev *EpochKey) {
	t.Helper()
	var err error
	switch {
	case len(before) == 0:
		r, err = c.TrustFirst(e.Record)
	case e.Linked:
		prev = before[len(before)-1]
		r, err = c.Advance(e.Record, prev)
	default:
		_, err = c.Advance(e.Record, before[len(before)-1])
		refused(t, err, ErrLink)
		r, err = c.AdvanceUnlinked(e.Record)
	}
	ok(t, err)
	return r, prev
}

// same compares what was made again with what is frozen.
func (e epochVector) same(t *testing.T, v *vectors, made Rekeyed) {
	t.Helper()
	if !bytes.Equal(made.Record.Record, e.Record.Record) {
		t.Errorf("the record of epoch %d is made in another way than before", e.Record.Epoch)
	}
	for i := range e.Boxes {
		if !bytes.Equal(made.Keys[i].Box, e.Boxes[i].Box) {
			t.Errorf("box %d of epoch %d is made in another way than before", i, e.Record.Epoch)
		}
	}
	late := LateBoxConfig{Epoch: made.Key, For: v.who(t, e.Late.User).key, By: v.who(t, e.Inviter), At: e.Late.Created}
	b, err := newLateBox(late, made.Key.record, e.Inviter, e.Late.Box[3+hashSize:boxCore])
	ok(t, err)
	if !bytes.Equal(b, e.Late.Box) {
		t.Errorf("the late box of epoch %d is made in another way than before", e.Record.Epoch)
	}
}

// TestWriteVectors writes them, from a random source that is the same every time.
func TestWriteVectors(t *testing.T) {
	if !*update {
		t.Skip("-update-vectors writes them anew")
	}
	cryptotest.SetGlobalRandom(t, 9)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // boxes are sealed on all processors, and so in no order
	v := &vectors{}
	people := roster(t, "ann", "bob", "cid", "dot", "eve")
	for i, p := range people {
		v.addPerson(t, p, start+core.Millis(i))
	}
	last := v.addEpoch(t, RecordConfig{Epoch: 1, Members: keysOf(people[0]), By: people[0], Reason: ReasonFirst}, people[0], people[4])
	first := last
	last = v.addEpoch(t, RecordConfig{Epoch: 2, Members: keysOf(people[:4]...), By: people[0], Reason: ReasonRemoved, PrevKey: last}, people[1], people[4])
	v.addMessages(t, first, people[0], "the first epoch")
	v.addMessages(t, last, people[2], "", "a", "héllo, wörld ✓", string(make([]byte, 1000)))
	last = v.addEpoch(t, RecordConfig{Epoch: 3, Members: keysOf(people[1:4]...), By: people[3], Reason: ReasonAge, Prev: &last.record}, people[3], people[0])
	v.addMessages(t, last, people[3], "made without the key before")
	for name, from := range v.files() {
		data, err := json.MarshalIndent(from, "", "  ")
		ok(t, err)
		ok(t, os.WriteFile(filepath.Join("testdata", name), append(data, '\n'), 0o644))
	}
}

func (v *vectors) addPerson(t *testing.T, p person, at core.Millis) {
	t.Helper()
	seed, err := p.Seed()
	ok(t, err)
	private, err := p.kem.Bytes()
	ok(t, err)
	b, err := p.kem.Publish(p, at)
	ok(t, err)
	v.People = append(v.People, personVector{Seed: string(seed), User: p.user, KEM: private, Time: at, KEMKey: b})
}

func (v *vectors) addEpoch(t *testing.T, cfg RecordConfig, inviter, late person) *EpochKey {
	t.Helper()
	cfg.Room, cfg.Rec, cfg.Key, cfg.At = "lobby", NewRec(), NewRoomKey(), start+core.Millis(cfg.Epoch)*1000
	made, err := MakeRecord(cfg)
	ok(t, err)
	k, err := MakeLateBox(LateBoxConfig{Epoch: made.Key, For: late.key, By: inviter, At: cfg.At + 500})
	ok(t, err)
	v.Epochs = append(v.Epochs, epochVector{
		Key: cfg.Key.Bytes(), Reason: cfg.Reason, Time: cfg.At, Maker: made.Key.record.Maker, Record: made.Record,
		Hash: made.Key.record.Hash, Linked: cfg.PrevKey != nil, Boxes: made.Keys, Inviter: inviter.user, Late: k,
	})
	return made.Key
}

func (v *vectors) addMessages(t *testing.T, k *EpochKey, by person, texts ...string) {
	t.Helper()
	s := sender(t, k, by)
	for i, text := range texts {
		counter := s.Sent()
		b, err := s.Seal([]byte(text), start+core.Millis(i))
		ok(t, err)
		v.Messages = append(v.Messages, messageVector{
			Epoch: k.record.Epoch, Sender: by.user, Session: bytes.Clone(s.session[:]), Counter: counter,
			Time: start + core.Millis(i), Text: []byte(text), Message: b,
		})
	}
}
