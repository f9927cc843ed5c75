package kv

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/jsapi"
)

func (t tenant) nonces(tb testing.TB, i int) *Nonces {
	tb.Helper()
	n := NewNonces(NoncesConfig{Life: auth.NonceLife, Conn: t.conn(tb, i), Replicas: min(3, len(t.nodes)), Timeout: 5 * time.Second, Budget: 30 * time.Second})
	mustDo(tb, n.Open(tb.Context()))
	tb.Cleanup(func() { _ = n.Close() })
	return n
}

// TestNonceIsUsedOnce: of all who try at once, wherever they are, one is first.
func TestNonceIsUsedOnce(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	nodes := []*Nonces{on.nonces(t, 0), on.nonces(t, 1), on.nonces(t, 2)}
	var first, second atomic.Int32
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			switch err := nodes[i%3].Create(t.Context(), "UX.aaaa"); core.KindOf(err) {
			case "":
				first.Add(1)
			case core.KindExists:
				second.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if first.Load() != 1 || second.Load() != 29 {
		t.Errorf("%d were first and %d second", first.Load(), second.Load())
	}
}

// TestNonceOutlivesItsLeader: the next leader knows it too.
func TestNonceOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	n := on.nonces(t, 0)
	for i := range 4 {
		key := fmt.Sprintf("UX.%d", i)
		mustDo(t, n.Create(t.Context(), key))
		mustDo(t, n.api.RequestUntil(t.Context(), "STREAM.LEADER.STEPDOWN."+streamOf(NoncesBucket), nil, nil))
		// Right after the hand-over a try may stay without an answer: not known, and never "unused".
		eventually(t, 20*time.Second, "the next leader refuses it", func() bool {
			err := n.Create(t.Context(), key)
			if err == nil {
				t.Fatalf("%s was used twice", key)
			}
			return core.KindOf(err) == core.KindExists
		})
	}
}

// TestNonceExpires: the message says when, and the bucket's own settings allow it.
func TestNonceExpires(t *testing.T) {
	t.Parallel()
	n := onSingle(t).nonces(t, 0)
	mustDo(t, n.Create(t.Context(), "UX.b"))
	var answer struct {
		Message struct {
			Header []byte `json:"hdrs"`
		} `json:"message"`
	}
	mustDo(t, n.api.Request(t.Context(), "STREAM.MSG.GET."+streamOf(NoncesBucket), map[string]string{"last_by_subj": subjectOf(NoncesBucket, "UX.b")}, &answer))
	if h := string(answer.Message.Header); !strings.Contains(h, "Nats-TTL: 180") {
		t.Errorf("headers %q", h)
	}
	info := must[jsapi.StreamInfo](t)(n.api.StreamInfo(t.Context(), streamOf(NoncesBucket), time.Second))
	if !info.Config.AllowMsgTTL || info.Config.SubjectDeleteMarkerTTL == 0 || info.Config.AllowDirect {
		t.Errorf("%+v", info.Config)
	}
}

// TestNoncesAreMended: a bucket that answers from followers is put right at the next start.
func TestNoncesAreMended(t *testing.T) {
	t.Parallel()
	on := onCluster(t)
	n := on.nonces(t, 0)
	wrong := noncesConfig(3)
	wrong.AllowDirect, wrong.SubjectDeleteMarkerTTL = true, 0
	mustDo(t, n.api.UpdateStream(t.Context(), wrong))
	again := on.nonces(t, 1)
	info := must[jsapi.StreamInfo](t)(again.api.StreamInfo(t.Context(), streamOf(NoncesBucket), 5*time.Second))
	if info.Config.AllowDirect || info.Config.SubjectDeleteMarkerTTL != nonceMarker {
		t.Errorf("%+v", info.Config)
	}
}

// TestNonceAfterSilenceIsUnknown: there after a try that nobody answered is not "used before".
func TestNonceAfterSilenceIsUnknown(t *testing.T) {
	t.Parallel()
	on := onSingle(t)
	nc := on.conn(t, 0)
	n := NewNonces(NoncesConfig{Life: auth.NonceLife, Conn: nc, Replicas: 1, Timeout: 3 * time.Second})
	// In the stream's place: silence first, then "it is there".
	var tries atomic.Int32
	_, err := nc.Subscribe("$KV."+NoncesBucket+".>", func(m *nats.Msg) {
		if tries.Add(1) > 1 {
			_ = m.Respond([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"}}`))
		}
	})
	mustDo(t, err)
	wantKind(t, n.Create(t.Context(), "UX.c"), core.KindUnavailable)
	if tries.Load() != 2 {
		t.Errorf("%d tries", tries.Load())
	}
	wantKind(t, n.Create(t.Context(), "UX.d"), core.KindExists)
}

func TestNonceBadInput(t *testing.T) {
	t.Parallel()
	n := onSingle(t).nonces(t, 0)
	for _, key := range []string{"", "*", "a.>", "a b", strings.Repeat("x", 600)} {
		wantKind(t, n.Create(t.Context(), key), core.KindInvalid)
	}
	mustDo(t, n.Close())
	wantKind(t, n.Create(t.Context(), "UX.e"), core.KindUnavailable)
}
