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

// signatureDue is true every signEvery records, and for the first record of all and
// after an hour.
func (k known) signatureDue(now core.Millis) bool {
	return k.unsigned >= signEvery || k.unsigned > 0 && (k.checkpointAt == 0 || now-k.checkpointAt >= signAfter)
}

// key returns the cluster's key; false while it is not known.
func (l *Log) key() (Signer, bool) {
	if l.cfg.Key == nil {
		return nil, false
	}
	return l.cfg.Key()
}

// checkpoint signs a record.
func (l *Log) checkpoint(key Signer, at position) (entry, error) {
	e := entry{V: entryVersion, ID: newID(), Phase: phaseCheckpoint, At: l.cfg.Now(), Node: l.cfg.Node, Key: key.Public(), Upto: at.seq, Hash: at.hash}
	var err error
	e.Signature, err = key.Sign(e.signedBytes())
	return e, err
}

// signNewest adds a checkpoint for the last record of the stream where one is due. If
// another node adds a record at the same time, the copy of that record decides anew.
func (l *Log) signNewest(ctx context.Context) error {
	key, ok := l.key()
	if !ok || !l.file.state().signatureDue(l.cfg.Now()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*jsapi.Attempt)
	defer cancel()
	_, err := l.stream.appendCheckpoint(ctx, l.cfg.Node, func(end position) (entry, error) { return l.checkpoint(key, end) })
	return err
}

// signFile adds a checkpoint to the file of a node alone where one is due.
func (l *Log) signFile() error {
	key, ok := l.key()
	k := l.file.state()
	if !ok || !k.signatureDue(l.cfg.Now()) {
		return nil
	}
	e, err := l.checkpoint(key, position{hash: k.lineHash})
	if err != nil {
		return err
	}
	written, err := l.file.append(e)
	for _, e := range written {
		l.tell(0, e)
	}
	return err
}
