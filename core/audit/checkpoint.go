package audit

import (
	"context"
	"encoding/binary"
	"time"

	"unibus/core"
	"unibus/core/jsapi"
)

// Signer is a key that signs.
type Signer interface {
	Public() string
	Sign(data []byte) ([]byte, error)
}

const (
	signEvery = 100 // records
	signAfter = core.Millis(time.Hour / time.Millisecond)

	// checkpointDomain keeps these signatures apart from all others.
	checkpointDomain = "\xffunibus.audit.v1"
)

// signedBytes is the one encoding of a checkpoint that is signed.
func (e entry) signedBytes() []byte {
	out := append([]byte(checkpointDomain), 0)
	out = binary.BigEndian.AppendUint64(out, e.Upto)
	out = binary.BigEndian.AppendUint64(out, uint64(e.At))
	for _, text := range []string{e.Hash, e.Key, e.Node} {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(text))), text...)
	}
	return out
}

// signatureDue is true every signEvery records, and for the first record after an hour.
func (k known) signatureDue(now core.Millis) bool {
	return k.unsigned >= signEvery || k.unsigned > 0 && now-k.checkpointAt >= signAfter
}

// checkpoint signs a record; false where the cluster's key is not known yet.
func (l *Log) checkpoint(upto uint64, hash string) (entry, bool, error) {
	if l.cfg.Key == nil {
		return entry{}, false, nil
	}
	key, ok := l.cfg.Key()
	if !ok {
		return entry{}, false, nil
	}
	e := entry{V: entryVersion, ID: newID(), Phase: phaseCheckpoint, At: l.cfg.Now(), Node: l.cfg.Node, Key: key.Public(), Upto: upto, Hash: hash}
	var err error
	e.Signature, err = key.Sign(e.signedBytes())
	return e, err == nil, err
}

// signNewest adds a checkpoint for the last record of the copy where one is due. If
// another node adds a record at the same time, that node's copy decides anew.
func (l *Log) signNewest(ctx context.Context) error {
	k := l.file.state()
	if !k.signatureDue(l.cfg.Now()) || k.end.hash == "" {
		return nil
	}
	e, ok, err := l.checkpoint(k.end.seq, k.end.hash)
	if !ok {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*jsapi.Attempt)
	defer cancel()
	done, err := l.stream.appendAfter(ctx, l.cfg.Node, e, k.end)
	if err == nil && done.seq > 0 {
		l.written(done, e)
	}
	return err
}

// signFile adds a checkpoint to the file of a node alone where one is due.
func (l *Log) signFile() error {
	k := l.file.state()
	if !k.signatureDue(l.cfg.Now()) {
		return nil
	}
	e, ok, err := l.checkpoint(0, k.lineHash)
	if !ok {
		return err
	}
	l.tell(0, e)
	return l.file.append(e)
}
