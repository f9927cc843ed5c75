package bus_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
	"unibus/core/logtest"
)

func TestInternalKeyOverTCPIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.BusAuth{core.BusAuthOff, core.BusAuthSoft, core.BusAuthEnforce} {
		r := newFixture(t, mode)
		s := r.open(t, r.config(t, "n1"))
		for _, id := range []keys.Identity{r.system, r.store, r.service, r.peer} {
			if _, err := r.dial(t, s, id); !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("%s: an internal key over TCP: %v", mode, err)
			}
			if err := r.inProcess(t, s, id).Flush(); err != nil {
				t.Errorf("%s: the same key from the pipe: %v", mode, err)
			}
		}
	}
}

func TestEnforceAdmitsUsersAlone(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := r.open(t, r.config(t, "n1"))
	for name, opts := range map[string][]nats.Option{
		"unknown key":                {nats.Nkey(r.x.Public(), r.x.Sign)},
		"no credentials":             nil,
		"user and password":          {nats.UserInfo("admin", "admin")},
		"token":                      {nats.Token("t")},
		"JWT":                        {nats.UserJWT(func() (string, error) { return "eyJ.eyJ.x", nil }, r.a.Sign)},
		"user beside a good key":     {nats.Nkey(r.a.Public(), r.a.Sign), nats.UserInfo("a", "")},
		"password beside a good key": {nats.Nkey(r.a.Public(), r.a.Sign), nats.UserInfo("", "b")},
		"token beside a good key":    {nats.Nkey(r.a.Public(), r.a.Sign), nats.Token("t")},
		"another's signature":        {nats.Nkey(r.a.Public(), r.b.Sign)},
	} {
		if _, err := r.dial(t, s, keys.Identity{}, opts...); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	must(t, r.mustDial(t, s, r.a).Flush())
	if n := s.Clients(); n != 1 {
		t.Errorf("%d clients, want 1", n)
	}
}

func TestEmptyDirectoryDeniesInEnforce(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	r.auth = auth.New(auth.Config{
		Mode: core.BusAuthEnforce, Users: &core.StoreHandle{},
		Operators: []core.Operator{{Key: r.admin.Public(), Role: core.OperatorAdmin}},
	})
	log, lines := logLines()
	cfg := r.config(t, "n1")
	cfg.Logger = log
	s := r.open(t, cfg)
	if _, err := r.dial(t, s, r.a); err == nil || errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a user without a directory: %v, want no admission and no refusal", err)
	}
	if text := lines(); !strings.Contains(text, "serves no control plane yet") || !strings.Contains(text, r.a.Public()) {
		t.Errorf("the log does not say why: %s", text)
	}
	r.mustDial(t, s, r.admin) // operators are not in the directory
}

// permissions are what one connection may and may not publish and subscribe.
type permissions struct {
	pub, noPub, sub, noSub []string
}

func (p permissions) check(t *testing.T, nc *nats.Conn) {
	t.Helper()
	for want, subjects := range map[bool][]string{true: p.pub, false: p.noPub} {
		for _, s := range subjects {
			if mayPublish(t, nc, s) != want {
				t.Errorf("publish %s: %v, want %v", s, !want, want)
			}
		}
	}
	for want, subjects := range map[bool][]string{true: p.sub, false: p.noSub} {
		for _, s := range subjects {
			if maySubscribe(t, nc, s) != want {
				t.Errorf("subscribe %s: %v, want %v", s, !want, want)
			}
		}
	}
}

func TestPermissionsOfEachRole(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.JetStream, cfg.MaxStore = true, 64<<20
	s := r.open(t, cfg)
	v, a, u, other := r.viewer.Public(), r.admin.Public(), r.a.Public(), r.b.Public()
	forbidden := []string{
		"$JS.API.INFO", "$JS.API.STREAM.MSG.GET.KV_UNIBUS_users", "$KV.UNIBUS_users.k", "$NRG.AE.x", "$SRV.PING",
		"unibus.peer.v1.n1.x", "unibus.events.x", "unibus.room.r." + u, "_INBOX.x.y", "$SYS.REQ.SERVER.PING",
	}
	spying := []string{">", "_INBOX.>", "$KV.>", "$JS.>", "$NRG.>", "unibus.peer.>", "unibus.admin.>", "unibus.events.>"}
	for name, c := range map[string]struct {
		id keys.Identity
		p  permissions
	}{
		"viewer": {r.viewer, permissions{
			pub:   []string{"unibus.admin.v1." + v + ".any.status", "unibus.admin.v1." + v + ".node.n2.status"},
			noPub: append(forbidden, "unibus.admin.v1."+v+".any.user-revoke", "unibus.admin.v1."+a+".any.status"),
			sub:   []string{"_INBOX." + v + ".>"}, noSub: append(spying, "_INBOX."+a+".>"),
		}},
		"admin": {r.admin, permissions{
			pub:   []string{"unibus.admin.v1." + a + ".any.user-revoke", "unibus.admin.v1." + a + ".node.n2.migrate-start"},
			noPub: append(forbidden, "unibus.admin.v1."+v+".any.status"),
			sub:   []string{"_INBOX." + a + ".x.*"}, noSub: append(spying, "_INBOX."+v+".>"),
		}},
		"user": {r.a, permissions{
			pub:   []string{"unibus.room.r." + u, "unibus.control.v1." + u + ".rooms"},
			noPub: []string{"unibus.room.r." + other, "unibus.control.v1." + other + ".rooms", "unibus.admin.v1." + u + ".any.status", "$JS.API.INFO", "_INBOX." + other + ".x"},
			sub:   []string{"unibus.room.r.>", "unibus.room.both.*", "_INBOX." + u + ".>"}, noSub: []string{">", "_INBOX.>", "_INBOX." + other + ".>", "unibus.control.>", "unibus.>", "unibus.room.>"},
		}},
		"system": {r.sysOperator, permissions{
			pub:   []string{"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.JSZ", "$SYS.REQ.ACCOUNT.CONTROL.CONNZ", "$SYS.REQ.USER.INFO"},
			noPub: []string{"$NRG.AE.x", "$NRG.V.x", "$SYS.REQ.SERVER.x.RELOAD", "$SYS.REQ.CLAIMS.UPDATE", "$JS.API.META.LEADER.STEPDOWN", "_INBOX.x", "$JSC.x"},
			sub:   []string{"_INBOX.>", "$SYS.SERVER.>", "$SYS.ACCOUNT.>"}, noSub: []string{">", "$NRG.>", "$SYS.>", "$SYS.REQ.>", "$JSC.>"},
		}},
		"auditor": {r.auditor, permissions{
			pub: []string{"CTL.API.STREAM.LIST", "CTL.API.STREAM.NAMES", "CTL.API.STREAM.INFO.KV_UNIBUS_users", "CTL.API.STREAM.MSG.GET.KV_UNIBUS_users"},
			noPub: append(forbidden, "CTL.API.CONSUMER.CREATE.KV_UNIBUS_users", "CTL.API.STREAM.CREATE.x", "CTL.API.STREAM.DELETE.KV_UNIBUS_users",
				"CTL.API.STREAM.PURGE.KV_UNIBUS_users", "CTL.API.DIRECT.GET.KV_UNIBUS_users", "$JS.API.STREAM.LIST"),
			sub: []string{"_INBOX.>"}, noSub: []string{">", "CTL.>", "$JS.>", "$KV.>"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.p.check(t, r.mustDial(t, s, c.id))
		})
	}
	t.Run("admin service", func(t *testing.T) {
		t.Parallel()
		permissions{
			pub: []string{"_INBOX.x.y", "unibus.events.x"}, noPub: []string{"$KV.UNIBUS_users.k", "$JS.API.INFO", "unibus.peer.v1.x", "unibus.admin.v1.x"},
			sub: []string{"unibus.admin.v1.>", "$SRV.PING"}, noSub: []string{"$KV.>", "_INBOX.>"},
		}.check(t, r.inProcess(t, s, r.service))
	})
	t.Run("peer", func(t *testing.T) {
		t.Parallel()
		permissions{
			pub: []string{"unibus.peer.v1.x", "_INBOX.x", "unibus.events.x"}, noPub: []string{"$KV.UNIBUS_users.k", "$JS.API.INFO", "unibus.admin.v1.x"},
			sub: []string{"unibus.peer.v1.>", "_INBOX.>", "unibus.events.>"}, noSub: []string{">", "$KV.>"},
		}.check(t, r.inProcess(t, s, r.peer))
	})
}

func TestAuditorReadsTheBuckets(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	cfg := r.config(t, "n1")
	cfg.JetStream, cfg.MaxStore = true, 64<<20
	s := r.open(t, cfg)
	js, err := jetstream.New(r.inProcess(t, s, r.store))
	must(t, err)
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "UNIBUS_users"})
	must(t, err)
	_, err = kv.PutString(t.Context(), "k", "v")
	must(t, err)

	nc := r.mustDial(t, s, r.auditor)
	for subject, want := range map[string]string{
		"CTL.API.STREAM.LIST": "KV_UNIBUS_users", "CTL.API.STREAM.NAMES": "KV_UNIBUS_users",
		"CTL.API.STREAM.INFO.KV_UNIBUS_users": `"messages":1`,
	} {
		reply, err := nc.Request(subject, nil, 10*time.Second)
		if err != nil || !strings.Contains(strings.ReplaceAll(string(reply.Data), " ", ""), want) {
			t.Errorf("%s: %v, %v", subject, reply, err)
		}
	}
	reply, err := nc.Request("CTL.API.STREAM.MSG.GET.KV_UNIBUS_users", []byte(`{"last_by_subj":"$KV.UNIBUS_users.k"}`), 10*time.Second)
	if err != nil || !strings.Contains(string(reply.Data), `"data":"dg=="`) {
		t.Errorf("kv get: %v, %v", reply, err)
	}
	// A reply subject in AUDIT is not one in CONTROL: nothing is written there.
	must(t, nc.PublishRequest("CTL.API.STREAM.INFO.KV_UNIBUS_users", "$KV.UNIBUS_users.evil", nil))
	_, err = nc.Request("CTL.API.STREAM.INFO.KV_UNIBUS_users", nil, 10*time.Second)
	must(t, err)
	if _, err := kv.Get(t.Context(), "evil"); !errors.Is(err, jetstream.ErrKeyNotFound) {
		t.Errorf("an auditor's reply subject wrote a key: %v", err)
	}
}

func TestDisconnectUser(t *testing.T) {
	t.Parallel()
	r := newFixture(t, core.BusAuthEnforce)
	s := r.open(t, r.config(t, "n1"))
	closed := make(chan struct{})
	first := r.mustDial(t, s, r.a, nats.IgnoreAuthErrorAbort(), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(2),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	r.mustDial(t, s, r.a, nats.NoReconnect())
	b := r.mustDial(t, s, r.b)
	r.users.set(r.a, false)
	if n := s.DisconnectUser(strings.ToLower(r.a.Public())); n != 2 {
		t.Errorf("%d sessions ended, want 2", n)
	}
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("the revoked user's client reconnected")
	}
	if first.IsConnected() {
		t.Error("the revoked user is connected")
	}
	must(t, b.Flush())
	if n := s.DisconnectUser(r.a.Public()) + s.DisconnectUser("") + s.DisconnectUser("x"); n != 0 {
		t.Errorf("%d more sessions ended, want 0", n)
	}
	eventually(t, "one connection to be left", func() bool { return s.Clients() == 1 })
}

func TestModesWithoutIdentity(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.BusAuth{core.BusAuthOff, core.BusAuthSoft} {
		r := newFixture(t, mode)
		s := r.open(t, r.config(t, "n1"))
		permissions{
			pub: []string{"unibus.room.r.x", "unibus.control.v1.x.rooms"}, noPub: []string{"$JS.API.INFO", "_INBOX.x", "unibus.admin.v1.x"},
			sub: []string{"unibus.room.>", "_INBOX.>"}, noSub: []string{">", "unibus.control.>"},
		}.check(t, r.mustDial(t, s, keys.Identity{}))
	}
}

// logLines is a logger at info level and what it has logged.
func logLines() (*slog.Logger, func() string) {
	w := &logtest.Buffer{}
	return slog.New(slog.NewTextHandler(w, nil)), w.String
}
