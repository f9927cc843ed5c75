package kv

import (
	"maps"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
)

// A message is the same in a batch as alone, but for the batch's headers, whatever came before it.
func TestBatchEncodesAsEachAlone(t *testing.T) {
	t.Parallel()
	rev := uint64(7)
	messages := []message{
		{key: "a", value: []byte("1"), guard: &rev},
		{key: "b", value: []byte("2")},
		{key: "c", remove: true},
		{key: "d", value: []byte("4")},
		{key: "e", value: []byte("5"), expect: &rev},
		{key: "f", value: []byte("6"), header: [2]string{hdrToken, "x"}},
		{key: "g", value: []byte{}},
		{key: "h"},
	}
	b := newBatch("B")
	for i, m := range messages {
		got, want := b.encode(m, i+1), m.encode("B")
		header := maps.Clone(want.Header)
		header[hdrBatchID], header[hdrBatchSeq] = []string{b.id[0]}, []string{strconv.Itoa(i + 1)}
		for _, diff := range []string{
			cmp.Diff(want.Subject, got.Subject), cmp.Diff(want.Data, got.Data), cmp.Diff(header, got.Header), cmp.Diff("", got.Reply),
		} {
			if diff != "" {
				t.Errorf("%s (-want +got)\n%s", m.key, diff)
			}
		}
	}
	if id := newBatch("B").id; id == b.id {
		t.Error("two batches have one id")
	}
}

// One message after the other costs the subject, and no header.
func TestBatchEncodesCheaply(t *testing.T) {
	b, m := newBatch("UNIBUS_users"), message{key: "U123", value: []byte("1")}
	var msg *nats.Msg
	if n := testing.AllocsPerRun(100, func() { msg = b.encode(m, 50) }); n > 1 {
		t.Errorf("%v allocations for %s, want one", n, msg.Subject)
	}
}
