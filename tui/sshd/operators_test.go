package sshd

import (
	"crypto/ed25519"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"unibus/core"
	"unibus/core/cluster"
)

// TestOperatorsInForce: every node that answers has to admit a key, and no node may know it as removed.
func TestOperatorsInForce(t *testing.T) {
	t.Parallel()
	ana, tool := core.Operator{Key: "UA", Name: "ana", Role: core.OperatorAdmin}, core.Operator{Key: "UT", Name: "tool", Role: core.OperatorSystem}
	node := func(online bool, removed []core.RemovedOperator, list ...core.Operator) cluster.Node {
		return cluster.Node{Online: online, Info: &cluster.Info{Operators: &cluster.Operators{List: list, Removed: removed}}}
	}
	gone := []core.RemovedOperator{{Operator: ana}}
	for name, c := range map[string]struct {
		nodes []cluster.Node
		want  int
	}{
		"everywhere":                {[]cluster.Node{node(true, nil, ana), node(true, nil, ana)}, 1},
		"on one of two":             {[]cluster.Node{node(true, nil, ana), node(true, nil)}, 0},
		"not on one that is silent": {[]cluster.Node{node(true, nil, ana), node(false, nil)}, 1},
		"removed, said one":         {[]cluster.Node{node(true, nil, ana), node(false, gone)}, 0},
		"a tool":                    {[]cluster.Node{node(true, nil, tool)}, 0},
		"an older node":             {[]cluster.Node{node(true, nil, ana), {Online: true}}, 1},
		"nobody says":               {nil, 0},
	} {
		if got := operatorsOf(cluster.View{Nodes: c.nodes}); len(got) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	o := newOperators(filepath.Join(t.TempDir(), operatorsFile))
	now, key := time.Now(), newPublicKey(t)
	ana.Key, _ = nkeyOf(key)
	ana.NotAfter = core.MillisOf(now.Add(time.Hour))
	if err := o.set(cluster.View{Nodes: []cluster.Node{node(true, nil, ana)}}); err != nil {
		t.Fatal(err)
	}
	if _, ok := o.ofKey(key, now); !ok {
		t.Error("a key is refused before its end")
	}
	if _, ok := o.ofKey(key, now.Add(2*time.Hour)); ok {
		t.Error("a key is accepted after its end")
	}
	again := newOperators(o.file)
	if _, ok := again.ofKey(key, now); ok || again.load() != nil {
		t.Error("the file was not read")
	}
	if _, ok := again.ofKey(key, now); !ok {
		t.Error("the operators were not kept")
	}
}

func newPublicKey(t *testing.T) gossh.PublicKey {
	t.Helper()
	raw, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := gossh.NewPublicKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSSHKeyBesideTheKey: another key of the person counts if every node says so, and a token's is one.
func TestSSHKeyBesideTheKey(t *testing.T) {
	t.Parallel()
	plain, own := newPublicKey(t), newPublicKey(t)
	raw := plain.(gossh.CryptoPublicKey).CryptoPublicKey().(ed25519.PublicKey)
	token, err := gossh.ParsePublicKey(gossh.Marshal(struct {
		Name        string
		Key         []byte
		Application string
	}{gossh.KeyAlgoSKED25519, raw, "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	op := core.Operator{Name: "ana", Role: core.OperatorAdmin}
	op.Key, _ = nkeyOf(own)
	now := time.Now()
	for _, key := range []gossh.PublicKey{plain, token} {
		with := op
		with.SSHKey = strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key)))
		o := newOperators(filepath.Join(t.TempDir(), operatorsFile))
		for _, c := range []struct {
			name   string
			on, n2 core.Operator
			want   bool
		}{{"on both", with, with, true}, {"on one", with, op, false}, {"again", with, with, true}, {"on none", op, op, false}} {
			nodes := []cluster.Node{
				{Online: true, Info: &cluster.Info{Operators: &cluster.Operators{List: []core.Operator{c.on}}}},
				{Online: true, Info: &cluster.Info{Operators: &cluster.Operators{List: []core.Operator{c.n2}}}},
			}
			if err := o.set(cluster.View{Nodes: nodes}); err != nil {
				t.Fatal(err)
			}
			if got, ok := o.ofKey(key, now); ok != c.want || ok && got.Key != op.Key {
				t.Errorf("%s, %s: %v, %t", key.Type(), c.name, got, ok)
			}
			if _, ok := o.ofKey(own, now); !ok {
				t.Errorf("%s: the nkey is refused", c.name)
			}
		}
		if _, ok := nkeyOf(token); ok {
			t.Error("a token's key is taken for an nkey")
		}
	}
}
