package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// clusterKey signs as a cluster.
type clusterKey struct{ kp nkeys.KeyPair }

func newClusterKey(t *testing.T) clusterKey {
	t.Helper()
	kp, err := nkeys.CreateCluster()
	if err != nil {
		t.Fatal(err)
	}
	return clusterKey{kp}
}

func (k clusterKey) known() (Signer, bool)            { return k, k.kp != nil }
func (k clusterKey) Public() string                   { public, _ := k.kp.PublicKey(); return public }
func (k clusterKey) Sign(data []byte) ([]byte, error) { return k.kp.Sign(data) }

func signedBy(key string, data, signature []byte) bool {
	kp, err := nkeys.FromPublicKey(key)
	return err == nil && kp.Verify(data, signature) == nil
}

func verifier(key string) *Verifier { return NewVerifier(VerifyConfig{Key: key, Signed: signedBy}) }

// history is the records of n actions as nodes write them, checkpoints included.
func history(t *testing.T, key clusterKey, actions int) (out [][]byte) {
	t.Helper()
	k := known{created: "c", end: position{hash: noRecord}}
	add := func(e entry) {
		e.Prev = k.end.hash
		data := e.encode()
		k.record(k.end.seq+1, data, e)
		out = append(out, data)
	}
	for i := range actions {
		e := entry{V: entryVersion, ID: fmt.Sprint("id", i), Phase: phaseIntent, At: core.Millis(1000 * (i + 1)), Node: "n1", Key: "UA", Name: "ana", Verb: fmt.Sprint("verb", i)}
		add(e)
		add(entry{V: entryVersion, ID: e.ID, Phase: phaseOutcome, At: e.At + 1, Node: "n1", Kind: OutcomeOK})
		if k.signatureDue(e.At) {
			l := &Log{cfg: Config{Node: "n1", Now: func() core.Millis { return e.At + 2 }}}
			c, err := l.checkpoint(key, k.end)
			if err != nil {
				t.Fatal(err)
			}
			add(c)
		}
	}
	return out
}

func verifyRecords(key string, records [][]byte) Report {
	v := verifier(key)
	for i, r := range records {
		v.Record(uint64(i+1), r)
	}
	return v.Report()
}

// verifyCopy checks the same records as lines of a copy with their own sequences.
func verifyCopy(t *testing.T, key string, records map[uint64][]byte, order []uint64) Report {
	t.Helper()
	file := path(t)
	text := append(encodeCopied(copied{Mark: markStream, Created: "c", At: 1}), '\n')
	for _, seq := range order {
		text = append(append(text, encodeCopied(copied{Seq: seq, Record: records[seq]})...), '\n')
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	v := verifier(key)
	if err := v.VerifyFile(file); err != nil {
		t.Fatal(err)
	}
	return v.Report()
}

func numbered(records [][]byte) (by map[uint64][]byte, order []uint64) {
	by = map[uint64][]byte{}
	for i, r := range records {
		by[uint64(i+1)] = r
		order = append(order, uint64(i+1))
	}
	return by, order
}

// TestVerifyWholeAudit: records that nodes wrote have no fault, and the report counts them.
func TestVerifyWholeAudit(t *testing.T) {
	t.Parallel()
	key := newClusterKey(t)
	records := history(t, key, 120)
	by, order := numbered(records)
	for name, r := range map[string]Report{"stream": verifyRecords(key.Public(), records), "copy": verifyCopy(t, "", by, order)} {
		if len(r.Faults) != 0 || r.Records != len(records) || r.Checkpoints != 3 || r.Key != key.Public() || r.FirstSeq != 1 || r.LastSeq != uint64(len(records)) || r.From != 1000 || r.To != 120001 || r.Unchained != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := verifyRecords(newClusterKey(t).Public(), records); len(r.Faults) != 3 || r.Faults[0].Seq != 3 || !strings.Contains(r.Faults[0].Reason, "another cluster") {
		t.Errorf("another key: %+v", r.Faults)
	}
	if r := verifyRecords("", nil); r.Records != 0 || len(r.Faults) != 0 {
		t.Errorf("nothing: %+v", r)
	}
}

// names is true where a fault names a record as the wrong one, or as one of two.
func names(f Fault, seq uint64, verb string) bool {
	return f.Seq == seq && f.Verb == verb || f.Or != nil && f.Or.Seq == seq && f.Or.Verb == verb
}

// TestVerifyFindsEveryChangedByte: wherever one byte of the audit differs, the first fault
// names that record.
func TestVerifyFindsEveryChangedByte(t *testing.T) {
	t.Parallel()
	key := newClusterKey(t)
	records := history(t, key, 3)
	for i := range records[:len(records)-1] { // nothing follows the last one yet
		for at := range records[i] {
			for _, flip := range []byte{1, 32} {
				changed := slices.Clone(records)
				changed[i] = bytes.Clone(records[i])
				changed[i][at] ^= flip
				r := verifyRecords(key.Public(), changed)
				if len(r.Faults) == 0 || r.Faults[0].Seq != uint64(i+1) && (r.Faults[0].Or == nil || r.Faults[0].Or.Seq != uint64(i+1)) {
					t.Fatalf("byte %d of record %d is %q: %+v", at, i+1, changed[i], r.Faults)
				}
			}
		}
	}
}

// TestVerifyNamesTheFirstBadRecord: a record that was dropped, moved, changed, forged or
// written twice is named with its operator and verb.
func TestVerifyNamesTheFirstBadRecord(t *testing.T) {
	t.Parallel()
	key := newClusterKey(t)
	whole := history(t, key, 6) // 1 verb0, 2 its outcome, 3 a checkpoint, 4 verb1, 5, 6 verb2, 7, 8 verb3, 9, 10 verb4, 11, 12 verb5, 13
	forged := func(prev string) []byte {
		return entry{V: entryVersion, ID: "forged", Phase: phaseIntent, At: 1, Node: "n1", Name: "eve", Verb: "forged", Prev: prev}.encode()
	}
	insert := func(i int, data []byte) [][]byte { return slices.Insert(slices.Clone(whole), i, data) }
	edit := func(i int, from, to string) [][]byte {
		out := slices.Clone(whole)
		out[i] = bytes.Replace(out[i], []byte(from), []byte(to), 1)
		if bytes.Equal(out[i], whole[i]) {
			t.Fatalf("%s is not in %s", from, whole[i])
		}
		return out
	}
	rewritten := slices.Clone(whole) // the whole chain anew after one change, without the cluster's key
	for i, data := range edit(0, `"ana"`, `"bob"`) {
		e, err := decodeEntry(data)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			e.Prev = hashOf(rewritten[i-1])
		}
		if e.Phase == phaseCheckpoint {
			e.Hash = e.Prev
		}
		rewritten[i] = e.encode()
	}
	swapped := slices.Clone(whole)
	swapped[5], swapped[7] = swapped[7], swapped[5]
	followed := append(slices.Clone(whole), forged(strings.Repeat("ab", 32)))
	next := entry{V: entryVersion, ID: "next", Phase: phaseIntent, At: 1, Node: "n1", Name: "ana", Verb: "next", Prev: hashOf(followed[13])}.encode()
	for name, c := range map[string]struct {
		records [][]byte
		seq     uint64
		verb    string
		reason  string
	}{
		"changed":                      {edit(5, `"ana"`, `"bob"`), 6, "verb2", "changed"},
		"an outcome changed":           {edit(6, `"ok"`, `"no"`), 7, "verb2", "changed"},
		"its hash changed":             {edit(5, whole5prev(whole), strings.Repeat("cd", 32)), 6, "verb2", ""},
		"its hash removed":             {edit(5, `,"prev":"`+whole5prev(whole)+`"`, ""), 6, "verb2", "does not have the hash"},
		"swapped":                      {swapped, 6, "verb3", ""},
		"a later one dropped":          {slices.Delete(slices.Clone(whole), 5, 6), 5, "verb1", "changed after it was written, or the one after"},
		"the first ones dropped":       {whole[3:], 1, "verb1", "does not follow"},
		"forged without a hash":        {append(slices.Clone(whole), forged("")), 14, "forged", "does not have the hash"},
		"forged after an earlier one":  {append(slices.Clone(whole), forged(hashOf(whole[3]))), 14, "forged", "forks the chain"},
		"forged with any hash":         {append(slices.Clone(whole), forged(strings.Repeat("ab", 32))), 14, "forged", ""},
		"forged, and others followed":  {append(followed, next), 14, "forged", ""},
		"forged in the middle":         {insert(7, forged(strings.Repeat("ab", 32))), 8, "forged", "is not the one that was appended after"},
		"forged in the middle, a fork": {insert(7, forged(hashOf(whole[6]))), 9, "verb3", "forks the chain"},
		"no record":                    {append(slices.Clone(whole), []byte("no record")), 14, "", "cannot be read"},
		"a checkpoint's signature":     {edit(2, `"signature":"`, `"signature":"AAAA`), 3, "checkpoint", "signature"},
		"the whole chain anew":         {rewritten, 3, "checkpoint", "or a record before it"},
		"a checkpoint of another":      {edit(2, `"upto":2`, `"upto":1`), 3, "checkpoint", "signature"},
	} {
		r := verifyRecords(key.Public(), c.records)
		if len(r.Faults) == 0 || !names(r.Faults[0], c.seq, c.verb) || !strings.Contains(r.Faults[0].Reason, c.reason) {
			t.Errorf("%s: %+v", name, r.Faults)
		}
	}
}

func whole5prev(whole [][]byte) string {
	e, err := decodeEntry(whole[5])
	if err != nil {
		panic(err)
	}
	return e.Prev
}

// TestVerifyCopy: in a copy, a line that was dropped, moved or repeated is found by its sequence.
func TestVerifyCopy(t *testing.T) {
	t.Parallel()
	key := newClusterKey(t)
	by, order := numbered(history(t, key, 6))
	without := func(seq uint64) []uint64 {
		return slices.DeleteFunc(slices.Clone(order), func(s uint64) bool { return s == seq })
	}
	for name, c := range map[string]struct {
		order  []uint64
		seq    uint64 // 0: no fault
		reason string
	}{
		"whole":            {order, 0, ""},
		"written twice":    {slices.Insert(slices.Clone(order), 6, 6), 0, ""},
		"dropped":          {without(6), 6, "is missing; the last one before is record 5"},
		"first dropped":    {without(1), 1, "is missing; the first one is record 2"},
		"moved to the end": {append(without(6), 6), 6, ""},
		"an old one again": {append(slices.Clone(order), 4), 4, "lies after record 13"},
	} {
		r := verifyCopy(t, key.Public(), by, c.order)
		if c.seq == 0 && len(r.Faults) != 0 || c.seq != 0 && (len(r.Faults) == 0 || r.Faults[0].Seq != c.seq || !strings.Contains(r.Faults[0].Reason, c.reason)) {
			t.Errorf("%s: %+v", name, r.Faults)
		}
	}
}

// TestVerifyFilesOfNodes: files that nodes wrote have no fault, alone and in a cluster, also
// after a rotation and with entries that are not in the stream. A stream that was created
// anew is a fault that names the last record before.
func TestVerifyFilesOfNodes(t *testing.T) {
	t.Parallel()
	key := newClusterKey(t)
	check := func(name, file string) Report {
		v := verifier(key.Public())
		if err := v.VerifyFile(file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return v.Report()
	}
	alone := newLog(t, nil, path(t))
	alone.cfg.Key = key.known
	for i := range 60 {
		alone.End(t.Context(), begin(t, alone, fmt.Sprint("v", i)), nil)
	}
	if r := check("alone", alone.cfg.File); len(r.Faults) != 0 || r.Records != 120+r.Checkpoints || r.Checkpoints < 2 || r.Pending != 0 {
		t.Errorf("alone: %+v", r)
	}
	text := readFile(t, alone.cfg.File)
	if err := os.WriteFile(alone.cfg.File, []byte(strings.Replace(text, `"verb":"v7"`, `"verb":"v8"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := check("alone, changed", alone.cfg.File); len(r.Faults) == 0 || r.Faults[0].Verb != "v8" || r.Faults[0].Name != "ana" {
		t.Errorf("alone, changed: %+v", r.Faults)
	}

	f := file{path: path(t), limit: 20_000}
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	records := history(t, key, 60)
	if _, err := f.addCopied("c", copied{Mark: markStream, Created: "c"}); err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		if ok, err := f.addCopied("c", copied{Seq: uint64(i + 1), Record: r}); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if i == 50 {
			if _, err := f.append(entry{V: entryVersion, ID: "own", Phase: phaseIntent}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := os.Stat(f.older()); err != nil {
		t.Fatal("it did not rotate: ", err)
	}
	if r := check("rotated", f.path); len(r.Faults) != 0 || r.LastSeq != uint64(len(records)) || r.Pending == 0 {
		t.Errorf("rotated: %+v", r)
	}
	if _, err := f.addCopied("d", copied{Mark: markStream, Created: "d", At: 5}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.addCopied("d", copied{Seq: 1, Record: records[0]}); err != nil {
		t.Fatal(err)
	}
	if r := check("created anew", f.path); len(r.Faults) != 1 || r.Faults[0].Seq != uint64(len(records)) || !strings.Contains(r.Faults[0].Reason, "created anew") {
		t.Errorf("created anew: %+v", r.Faults)
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	if err := verifier("").VerifyFile(f.path); core.KindOf(err) != core.KindInvalid {
		t.Errorf("no file: %v", err)
	}
}

// TestNodesSignTheAudit: nodes add checkpoints that verify, and pages leave them out.
func TestNodesSignTheAudit(t *testing.T) {
	t.Parallel()
	key := newClusterKey(t)
	bothSigned(t, key, func(t *testing.T, l *Log) {
		raw := func() Report {
			v := verifier(key.Public())
			for from := uint64(1); from > 0; {
				p, err := l.RawPage(t.Context(), from)
				if err != nil {
					t.Fatal(err)
				}
				v.Page(p)
				from = p.Next
			}
			return v.Report()
		}
		for i := range 60 {
			l.End(t.Context(), begin(t, l, fmt.Sprint("v", i)), nil)
			if i == 0 {
				wait(t, func() bool { return raw().Checkpoints == 1 })
			}
		}
		wait(t, func() bool { return raw().Checkpoints == 2 })
		if r := raw(); len(r.Faults) != 0 || r.Records != 120+r.Checkpoints || r.Unsigned > signEvery {
			t.Errorf("%+v", r)
		}
		if p := page(t, l, Query{Limit: 200}); len(p.Records) != 60 || p.Records[59].Verb != "v0" {
			t.Errorf("%d records", len(p.Records))
		}
	})
}

// FuzzVerifier: no line and no record makes the verifier panic, and a report can be encoded.
func FuzzVerifier(f *testing.F) {
	f.Add([]byte(`{"seq":1,"record":{"v":1,"id":"a","phase":"intent"}}`+"\n"+`{"mark":"gap","seq":9}`), uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, seq uint64) {
		v := NewVerifier(VerifyConfig{Signed: signedBy})
		for i, text := range bytes.Split(data, []byte("\n")) {
			v.Line(uint64(i), text)
			v.Record(seq, text)
		}
		if _, err := json.Marshal(v.Report()); err != nil {
			t.Error(err)
		}
	})
}
