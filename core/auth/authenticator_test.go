package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/auth"
)

// directory is a Directory in memory.
type directory struct {
	users    map[core.UserID]core.UserStatus
	expires  core.Millis   // everybody's
	rooms    []core.RoomID // everybody's
	roomsErr error
	err      error
	hang     bool
}

func (d directory) Admit(ctx context.Context, id core.UserID) (core.Admission, error) {
	if d.hang {
		<-ctx.Done()
		return core.Admission{Status: core.UserActive}, nil // as late as it is wrong
	}
	a := core.Admission{Status: d.users[id], Expires: d.expires}
	if !a.IsActive(core.MillisOf(time.Now())) || d.err != nil {
		return a, d.err
	}
	a.Rooms = slices.Clone(d.rooms)
	return a, d.roomsErr
}

// world is every sort of identity and a directory that knows the users.
type world struct {
	internal, viewer, admin, system, auditor, active, revoked, stranger nkeys.KeyPair
	cfg                                                                 auth.Config
	soft                                                                []string
}

func newWorld(t testing.TB, mode core.BusAuth) *world {
	t.Helper()
	w := &world{}
	for _, kp := range []*nkeys.KeyPair{&w.internal, &w.viewer, &w.admin, &w.system, &w.auditor, &w.active, &w.revoked, &w.stranger} {
		made, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		*kp = made
	}
	w.cfg = auth.Config{
		Mode: mode,
		Operators: []core.Operator{
			{Key: pub(w.viewer), Role: core.OperatorViewer, Name: "vera"},
			{Key: pub(w.admin), Role: core.OperatorAdmin, Name: "ada"},
			{Key: pub(w.system), Role: core.OperatorSystem, Name: "sys"},
			{Key: pub(w.auditor), Role: core.OperatorAuditor, Name: "aud"},
		},
		Internal: map[string]auth.Grant{pub(w.internal): auth.GrantStore()},
		Users: directory{users: map[core.UserID]core.UserStatus{
			core.UserID(pub(w.active)): core.UserActive, core.UserID(pub(w.revoked)): core.UserRevoked,
		}, rooms: []core.RoomID{"b", "a-room", "b"}},
		OnSoft: func(key, remote string, reason *core.Error) {
			w.soft = append(w.soft, key+" "+remote+" "+string(reason.Kind))
		},
	}
	return w
}

func pub(kp nkeys.KeyPair) string { p, _ := kp.PublicKey(); return p }

// signed is a request as a correct client makes it.
func signed(kp nkeys.KeyPair) auth.Request {
	nonce := []byte("a nonce of the server")
	sig, _ := kp.Sign(nonce)
	return auth.Request{Key: pub(kp), Nonce: nonce, Signature: sig, Remote: "192.0.2.7:1"}
}

func forged(kp nkeys.KeyPair) auth.Request {
	r := signed(kp)
	r.Signature[3] ^= 1
	return r
}

func (w *world) decide(r auth.Request) (auth.Grant, error) {
	return auth.New(w.cfg).Decide(context.Background(), r)
}

// services are imports under the same subjects.
func services(account string, subjects []string) (imports []auth.Import) {
	for i, as := range freed(subjects) {
		instead := ""
		if as != subjects[i] {
			instead = subjects[i]
		}
		imports = append(imports, auth.Import{Account: account, Subject: subjects[i], As: as, MappedFrom: instead})
	}
	return imports
}

// freed are subjects without the one that nats-server has put something else under.
func freed(subjects []string) []string {
	out := slices.Clone(subjects)
	out[slices.Index(out, "$SYS.REQ.SERVER.PING.CONNZ")] = "unibus.monitor.connz"
	return out
}

// TestMonitoredServicesOnlyTell: with a wildcard the servers would hand out
// profiles of their memory, end connections and read their files again.
func TestMonitoredServicesOnlyTell(t *testing.T) {
	t.Parallel()
	for _, s := range auth.MonitoredServices() {
		for _, acts := range []string{"PROFILEZ", "EXPVARZ", "IPQUEUESZ", "KICK", "LDM", "RELOAD", "CLAIMS", ">"} {
			if strings.Contains(s, acts) {
				t.Errorf("%s may be asked for", s)
			}
		}
		if strings.HasSuffix(s, "*") {
			t.Errorf("%s ends with a wildcard", s)
		}
	}
}

func TestOperatorsGetTheirRolesInEveryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.BusAuth{core.BusAuthOff, core.BusAuthSoft, core.BusAuthEnforce} {
		w := newWorld(t, mode)
		w.cfg.Users = directory{err: errors.New("down")} // operators work without a store
		w.cfg.ViewerVerbs = []string{"status"}
		v, a := pub(w.viewer), pub(w.admin)
		for _, c := range []struct {
			kp   nkeys.KeyPair
			want auth.Grant
		}{
			{w.viewer, auth.Grant{
				Account: "CONTROL", Role: core.OperatorViewer, Name: "vera", Subscribe: []string{"_INBOX." + v + ".>"},
				Publish: []string{"unibus.admin.v1." + v + ".any.status", "unibus.admin.v1." + v + ".all.status", "unibus.admin.v1." + v + ".node.*.status"},
			}},
			{w.admin, auth.Grant{
				Account: "CONTROL", Role: core.OperatorAdmin, Name: "ada",
				Publish: []string{"unibus.admin.v1." + a + ".>"}, Subscribe: []string{"_INBOX." + a + ".>"},
			}},
			{w.system, auth.Grant{
				Account: "MONITOR_" + pub(w.system), Role: core.OperatorSystem, Name: "sys",
				Publish:   append(freed(auth.MonitoredServices()), "$SYS.REQ.USER.INFO"),
				Subscribe: []string{"_INBOX.>", "$SYS.SERVER.>", "$SYS.ACCOUNT.>"},
				Imports:   append(services("SYS", auth.MonitoredServices()), auth.Import{Account: "SYS", Subject: "$SYS.SERVER.>", As: "$SYS.SERVER.>", Stream: true}, auth.Import{Account: "SYS", Subject: "$SYS.ACCOUNT.>", As: "$SYS.ACCOUNT.>", Stream: true}),
			}},
			{w.auditor, auth.Grant{
				Account: "AUDIT_" + pub(w.auditor), Role: core.OperatorAuditor, Name: "aud", Subscribe: []string{"_INBOX.>"},
				Imports: []auth.Import{
					{Account: "CONTROL", Subject: "$JS.API.STREAM.LIST", As: "CTL.API.STREAM.LIST"},
					{Account: "CONTROL", Subject: "$JS.API.STREAM.NAMES", As: "CTL.API.STREAM.NAMES"},
					{Account: "CONTROL", Subject: "$JS.API.STREAM.INFO.*", As: "CTL.API.STREAM.INFO.*"},
					{Account: "CONTROL", Subject: "$JS.API.STREAM.MSG.GET.*", As: "CTL.API.STREAM.MSG.GET.*"},
				},
				Publish: []string{"CTL.API.STREAM.LIST", "CTL.API.STREAM.NAMES", "CTL.API.STREAM.INFO.*", "CTL.API.STREAM.MSG.GET.*"},
			}},
		} {
			c.want.Kind, c.want.Identity = auth.KindOperator, pub(c.kp)
			got, err := w.decide(signed(c.kp))
			if err != nil || !cmp.Equal(got, c.want) {
				t.Errorf("%s, %s: %v\n%s", mode, c.want.Name, err, cmp.Diff(c.want, got))
			}
			g, err := w.decide(forged(c.kp))
			refused(t, g, err, core.KindRefused, "signature")
		}
	}
}

func TestInternalKeysComeThroughThePipeAlone(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.BusAuth{core.BusAuthOff, core.BusAuthSoft, core.BusAuthEnforce} {
		w := newWorld(t, mode)
		r := signed(w.internal)
		g, err := w.decide(r)
		refused(t, g, err, core.KindRefused, "over the network")
		r.Pipe = true
		g, err = w.decide(r)
		if err != nil || g.Account != auth.AccountControl || g.Kind != auth.KindInternal || g.Identity != pub(w.internal) {
			t.Errorf("%s: %+v, %v", mode, g, err)
		}
		r = forged(w.internal)
		r.Pipe = true
		g, err = w.decide(r)
		refused(t, g, err, core.KindRefused, "signature")
	}
}

func TestEnforce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, core.BusAuthEnforce)
	u := pub(w.active)
	want := auth.Grant{
		Account: "BUS", Kind: auth.KindUser, Identity: u, Rooms: []core.RoomID{"a-room", "b"},
		Publish:   []string{"unibus.control.v1." + u + ".>", "unibus.room.a-room." + u, "unibus.room.a-room." + u + ".beat", "unibus.room.b." + u, "unibus.room.b." + u + ".beat"},
		Subscribe: []string{"_INBOX." + u + ".>", "unibus.room.a-room.>", "unibus.room.b.>"},
	}
	got, err := w.decide(signed(w.active))
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	lower := signed(w.active)
	lower.Key = strings.ToLower(lower.Key)
	if got, err = w.decide(lower); err != nil || !cmp.Equal(got, want) {
		t.Errorf("a key in lower case: %v\n%s", err, cmp.Diff(want, got))
	}
	for name, c := range map[string]struct {
		r    auth.Request
		kind core.Kind
	}{
		"revoked": {signed(w.revoked), core.KindRefused}, "stranger": {signed(w.stranger), core.KindRefused},
		"forged": {forged(w.active), core.KindRefused}, "nobody": {auth.Request{}, core.KindRefused},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := w.decide(c.r)
			refused(t, g, err, c.kind, "")
		})
	}
	if len(w.soft) > 0 {
		t.Errorf("enforce recorded soft admissions: %v", w.soft)
	}
}

func TestEnforceDeniesWithoutADirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, core.BusAuthEnforce)
	yes := map[core.UserID]core.UserStatus{core.UserID(pub(w.active)): core.UserActive}
	for name, d := range map[string]auth.Directory{
		"none": nil, "empty holder": &core.StoreHandle{}, "error beside a yes": directory{users: yes, err: errors.New("down")}, "hangs": directory{hang: true},
		"no rooms": directory{users: yes, roomsErr: errors.New("down")},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := w.cfg
			cfg.Users = d
			synctest.Test(t, func(t *testing.T) { // one that hangs ends by the authenticator's own timeout
				g, err := auth.New(cfg).Decide(context.Background(), signed(w.active))
				refused(t, g, err, core.KindUnavailable, "authorized")
			})
		})
	}
}

func TestUnknownModeIsEnforce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	g, err := w.decide(signed(w.stranger))
	refused(t, g, err, core.KindRefused, "")
	g, err = w.decide(auth.Request{})
	refused(t, g, err, core.KindRefused, "no identity")
}

func TestSoft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, core.BusAuthSoft)
	if g, err := w.decide(signed(w.active)); err != nil || g.Kind != auth.KindUser {
		t.Errorf("an authorized user: %+v, %v", g, err)
	}
	g, err := w.decide(signed(w.revoked))
	refused(t, g, err, core.KindRefused, "revoked")
	g, err = w.decide(forged(w.stranger))
	refused(t, g, err, core.KindRefused, "signature")
	if len(w.soft) > 0 {
		t.Errorf("recorded %v, want nothing yet", w.soft)
	}
	for _, r := range []auth.Request{signed(w.stranger), {Remote: "192.0.2.9:1"}} {
		g, err := w.decide(r)
		anonymous(t, g, err, r.Key)
	}
	w.cfg.Users = &core.StoreHandle{}
	g, err = w.decide(signed(w.active))
	anonymous(t, g, err, pub(w.active))
	want := []string{pub(w.stranger) + " 192.0.2.7:1 refused", " 192.0.2.9:1 refused", pub(w.active) + " 192.0.2.7:1 unavailable"}
	if !slices.Equal(w.soft, want) {
		t.Error(cmp.Diff(want, w.soft))
	}
}

// storeOf is a store that wraps a directory and counts its questions.
type storeOf struct {
	core.Store
	directory
	asked *int
}

func (s storeOf) Admit(ctx context.Context, id core.UserID) (core.Admission, error) {
	*s.asked++
	return s.directory.Admit(ctx, id)
}

func TestSoftAsksTheHoldersStoreWhoIsRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, core.BusAuthSoft)
	var handle core.StoreHandle
	asked := 0
	handle.Publish(storeOf{directory: w.cfg.Users.(directory), asked: &asked})
	w.cfg.Users = &handle
	g, err := w.decide(signed(w.revoked))
	refused(t, g, err, core.KindRefused, "revoked")
	g, err = w.decide(signed(w.stranger))
	anonymous(t, g, err, pub(w.stranger))
}

// TestOneQuestionForEachDecision: status and rooms come by one call, so that both
// are under one proof, also where a wrapper stands before the store.
func TestOneQuestionForEachDecision(t *testing.T) {
	t.Parallel()
	w := newWorld(t, core.BusAuthEnforce)
	asked := 0
	w.cfg.Users = storeOf{directory: w.cfg.Users.(directory), asked: &asked}
	a := auth.New(w.cfg)
	g, err := a.Decide(t.Context(), signed(w.active))
	if err != nil || len(g.Rooms) != 2 || asked != 1 {
		t.Errorf("Decide: %v, %v, after %d questions", g.Rooms, err, asked)
	}
	for name, ask := range map[string]func() (bool, error){
		"Current":    func() (bool, error) { return a.Current(t.Context(), g) },
		"Covers":     func() (bool, error) { return a.Covers(t.Context(), g) },
		"WouldAdmit": func() (bool, error) { return a.WouldAdmit(t.Context(), core.UserID(g.Identity)) },
	} {
		asked = 0
		if yes, err := ask(); !yes || err != nil || asked != 1 {
			t.Errorf("%s: %v, %v, after %d questions", name, yes, err, asked)
		}
	}
}

func TestOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, core.BusAuthOff)
	w.cfg.Users = nil // nobody is asked
	for _, r := range []auth.Request{{}, signed(w.stranger), signed(w.revoked)} {
		g, err := w.decide(r)
		anonymous(t, g, err, r.Key)
	}
	g, err := w.decide(forged(w.stranger))
	refused(t, g, err, core.KindRefused, "signature")
	if len(w.soft) > 0 {
		t.Errorf("off recorded %v", w.soft)
	}
}

func TestMalformedCredentialsAreRefusedInEveryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.BusAuth{core.BusAuthOff, core.BusAuthSoft, core.BusAuthEnforce} {
		w := newWorld(t, mode)
		with := func(f func(*auth.Request)) auth.Request { r := signed(w.active); f(&r); return r }
		account, _ := nkeys.CreateAccount()
		for name, r := range map[string]auth.Request{
			"NUL":                 with(func(r *auth.Request) { r.Key = r.Key[:20] + "\x00" + r.Key[21:] }),
			"garbage":             with(func(r *auth.Request) { r.Key = "'; --" }),
			"wildcard":            with(func(r *auth.Request) { r.Key = ">" }),
			"account key":         signed(account),
			"checksum":            with(func(r *auth.Request) { r.Key = r.Key[:55] + string('A'+(r.Key[55]-'A'+1)%26) }),
			"no nonce":            with(func(r *auth.Request) { r.Nonce = nil; r.Signature, _ = w.active.Sign(nil) }),
			"no signature":        with(func(r *auth.Request) { r.Signature = nil }),
			"another's signature": with(func(r *auth.Request) { r.Signature = signed(w.admin).Signature }),
			"another nonce":       with(func(r *auth.Request) { r.Nonce = []byte("another") }),
			"signature alone":     with(func(r *auth.Request) { r.Key = "" }),
			"password":            with(func(r *auth.Request) { r.HasOtherCredentials = true }),
			"password alone":      {HasOtherCredentials: true},
			"account":             with(func(r *auth.Request) { r.WantAccount = "SYS" }),
		} {
			g, err := w.decide(r)
			if err == nil || g.Account != "" {
				t.Errorf("%s, %s: admitted as %+v", mode, name, g)
			}
			var e *core.Error
			if !errors.As(err, &e) || e.Text == "" {
				t.Errorf("%s, %s: %v is not a *core.Error with a reason", mode, name, err)
			}
		}
	}
}

func TestSetOperators(t *testing.T) {
	t.Parallel()
	w := newWorld(t, core.BusAuthEnforce)
	a := auth.New(w.cfg)
	a.SetOperators([]core.Operator{{Key: strings.ToLower(pub(w.stranger)), Role: core.OperatorViewer}, {Key: pub(w.auditor), Role: "root"}, {Key: "x", Role: core.OperatorAdmin}})
	if g, err := a.Decide(context.Background(), signed(w.stranger)); err != nil || g.Role != core.OperatorViewer {
		t.Errorf("a new operator: %+v, %v", g, err)
	}
	g, err := a.Decide(context.Background(), signed(w.admin))
	refused(t, g, err, core.KindRefused, "unknown or revoked")
	g, err = a.Decide(context.Background(), signed(w.auditor))
	refused(t, g, err, core.KindRefused, `role "root"`)
}

func TestInternalGrants(t *testing.T) {
	t.Parallel()
	admin, peer := auth.GrantAdminService(), auth.GrantPeer()
	if !slices.Equal(admin.Publish, []string{"_INBOX.>", "unibus.events.>"}) {
		t.Errorf("the admin service may publish %v", admin.Publish)
	}
	if want := []string{"unibus.peer.v1.>", "_INBOX.>", "unibus.events.>"}; !slices.Equal(peer.Publish, want) || !slices.Equal(peer.Subscribe, want) {
		t.Errorf("peers: %+v", peer)
	}
	if g := auth.GrantSystem(); g.Account != auth.AccountSystem {
		t.Errorf("system: %+v", g)
	}
}

// many are distinct rooms.
func many(n int) []core.RoomID {
	rooms := make([]core.RoomID, n)
	for i := range rooms {
		rooms[i] = core.RoomID(fmt.Sprintf("r%04d", i))
	}
	return rooms
}

func TestTooManyRooms(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.BusAuth{core.BusAuthEnforce, core.BusAuthSoft} {
		w := newWorld(t, mode)
		d := w.cfg.Users.(directory)
		d.rooms = many(auth.MaxRooms)
		w.cfg.Users = d
		if g, err := w.decide(signed(w.active)); err != nil || len(g.Rooms) != auth.MaxRooms || len(g.Publish) != 2*auth.MaxRooms+1 || !g.In("r0999") || g.In("r1000") {
			t.Errorf("%s: %d rooms gave %d: %v", mode, auth.MaxRooms, len(g.Rooms), err)
		}
		d.rooms = many(auth.MaxRooms + 1)
		w.cfg.Users = d
		g, err := w.decide(signed(w.active))
		if mode == core.BusAuthSoft {
			anonymous(t, g, err, pub(w.active))
			if len(w.soft) != 1 {
				t.Errorf("recorded %v", w.soft)
			}
			continue
		}
		refused(t, g, err, core.KindRefused, "1001 rooms")
	}
}

// TestRoomsThatAreNoRooms: a store's damage must not open other rooms.
func TestRoomsThatAreNoRooms(t *testing.T) {
	t.Parallel()
	for _, room := range []core.RoomID{"", "*", ">", "a.*", "a.b", "_x", "a b", "a\x00"} {
		w := newWorld(t, core.BusAuthEnforce)
		d := w.cfg.Users.(directory)
		d.rooms = []core.RoomID{room}
		w.cfg.Users = d
		g, err := w.decide(signed(w.active))
		refused(t, g, err, core.KindFailed, "subject")
	}
}

func TestCurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, core.BusAuthSoft)
	was, err := w.decide(signed(w.active))
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := w.decide(signed(w.stranger))
	if err != nil {
		t.Fatal(err)
	}
	operator, err := w.decide(signed(w.admin))
	if err != nil {
		t.Fatal(err)
	}
	status := func(active, stranger core.UserStatus) map[core.UserID]core.UserStatus {
		return map[core.UserID]core.UserStatus{core.UserID(pub(w.active)): active, core.UserID(pub(w.stranger)): stranger}
	}
	rooms := w.cfg.Users.(directory).rooms
	for name, c := range map[string]struct {
		d    directory
		g    auth.Grant
		want bool
	}{
		"the same":          {directory{users: status(core.UserActive, ""), rooms: rooms}, was, true},
		"revoked":           {directory{users: status(core.UserRevoked, ""), rooms: rooms}, was, false},
		"forgotten":         {directory{rooms: rooms}, was, false},
		"one room less":     {directory{users: status(core.UserActive, ""), rooms: rooms[:1]}, was, false},
		"one room more":     {directory{users: status(core.UserActive, ""), rooms: append(slices.Clone(rooms), "c")}, was, false},
		"too many rooms":    {directory{users: status(core.UserActive, ""), rooms: many(1001)}, was, false},
		"stranger":          {directory{}, stranger, true},
		"stranger revoked":  {directory{users: status("", core.UserRevoked)}, stranger, false},
		"stranger added":    {directory{users: status("", core.UserActive)}, stranger, false},
		"stranger with too": {directory{users: status("", core.UserActive), rooms: many(1001)}, stranger, true},
		"operator":          {directory{}, operator, true},
	} {
		w.cfg.Users = c.d
		got, err := auth.New(w.cfg).Current(t.Context(), c.g)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, d := range map[string]directory{"users": {err: errors.New("down")}, "rooms": {users: status(core.UserActive, ""), roomsErr: errors.New("down")}} {
		w.cfg.Users = d
		if ok, err := auth.New(w.cfg).Current(t.Context(), was); ok || err == nil {
			t.Errorf("%s cannot be read: %v, %v", name, ok, err)
		}
	}
}

// FuzzDecide: no input makes Decide panic, none is let in by enforce without a good signature of a known key.
func FuzzDecide(f *testing.F) {
	w := newWorld(f, core.BusAuthEnforce)
	a := auth.New(w.cfg)
	good := signed(w.active)
	f.Add(good.Key, good.Nonce, good.Signature, false, "", false, "")
	f.Add(pub(w.internal), good.Nonce, good.Signature, true, "pipe", false, "")
	f.Add("", []byte(nil), []byte(nil), true, "", true, "SYS")
	f.Add("U\x00", []byte("n"), []byte("s"), false, "x", false, "")
	f.Fuzz(func(t *testing.T, key string, nonce, sig []byte, pipe bool, remote string, other bool, account string) {
		g, err := a.Decide(context.Background(), auth.Request{Key: key, Nonce: nonce, Signature: sig, Pipe: pipe, Remote: remote, HasOtherCredentials: other, WantAccount: account})
		if err != nil {
			var e *core.Error
			if !errors.As(err, &e) || g.Account != "" {
				t.Fatalf("refused with %v and grant %+v", err, g)
			}
			return
		}
		kp, err := nkeys.FromPublicKey(strings.ToUpper(key))
		if err != nil || kp.Verify(nonce, sig) != nil || other || account != "" {
			t.Fatalf("%q was admitted without a good signature: %+v", key, g)
		}
	})
}

func refused(t *testing.T, g auth.Grant, err error, kind core.Kind, text string) {
	t.Helper()
	if core.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("%v of kind %q, want %q with %q", err, core.KindOf(err), kind, text)
	}
	if !cmp.Equal(g, auth.Grant{}) {
		t.Errorf("a refusal came with the grant %+v", g)
	}
}

func anonymous(t *testing.T, g auth.Grant, err error, key string) {
	t.Helper()
	want := auth.Grant{
		Account: "BUS", Kind: auth.KindAnonymous, Identity: key,
		Publish: []string{"unibus.room.>", "unibus.control.v1.>"}, Subscribe: []string{"unibus.room.>", "_INBOX.>"},
	}
	if err != nil || !cmp.Equal(g, want) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, g))
	}
}

// TestRemovedOperatorIsRefusedInEveryMode: nothing else that knows the key lets it
// in, neither the mode, nor the list of operators, nor the directory.
func TestRemovedOperatorIsRefusedInEveryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.BusAuth{core.BusAuthOff, core.BusAuthSoft, core.BusAuthEnforce} {
		w := newWorld(t, mode)
		a := auth.New(w.cfg)
		for _, kp := range []nkeys.KeyPair{w.admin, w.active} {
			if g, err := a.Decide(t.Context(), signed(kp)); err != nil {
				t.Fatalf("%s: before: %+v, %v", mode, g, err)
			}
		}
		a.SetRemoved([]string{pub(w.admin), pub(w.active)})
		for _, kp := range []nkeys.KeyPair{w.admin, w.active} {
			if g, err := a.Decide(t.Context(), signed(kp)); core.KindOf(err) != core.KindRefused || g.Kind != "" {
				t.Errorf("%s: %+v, %v", mode, g, err)
			}
		}
		if _, err := a.Decide(t.Context(), signed(w.viewer)); err != nil {
			t.Errorf("%s: another operator: %v", mode, err)
		}
	}
}
