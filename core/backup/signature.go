package backup

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/nats-io/nkeys"

	"unibus/core"
	"unibus/core/store/sqlite"
)

// Signer signs what a node's Server hands out.
type Signer interface {
	Public() string // a cluster's public nkey, "C…"
	Sign(message []byte) ([]byte, error)
}

// Signature says who made a backup; a Signature that was handed out is true.
type Signature struct {
	Key  string    `json:"key"`  // the cluster's public nkey
	Node string    `json:"node"` // that made the backup
	At   time.Time `json:"at"`   // before the first row was read
}

// signatureFormat is the form of what is signed.
const signatureFormat = 1

// message is what is signed: the rows, whatever the file's bytes are. No other
// use of the key begins with the byte 0xFF and these words.
func (s Signature) message(c Content) []byte {
	b := append([]byte{0xFF}, "unibus backup\x00"...)
	b = binary.BigEndian.AppendUint64(b, signatureFormat)
	for _, field := range []string{s.Key, s.Node} {
		b = appendField(b, field)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(s.At.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(len(c.Tables)))
	for _, t := range c.Tables {
		b = appendField(b, string(t.Table))
		b = binary.BigEndian.AppendUint64(b, uint64(t.Count))
		b = appendField(b, t.SHA256)
	}
	return b
}

func appendField(b []byte, field string) []byte {
	return append(binary.BigEndian.AppendUint64(b, uint64(len(field))), field...)
}

// Sign reads a finished backup that this node has made and writes into it by
// whom it was made; begun is before its first row was read. It returns what is on disk then.
func Sign(ctx context.Context, signer Signer, node, path string, begun time.Time) (sqlite.BackupInfo, error) {
	s, err := open(ctx, path)
	if err != nil {
		return sqlite.BackupInfo{}, err
	}
	content, err := readRows(ctx, s, func(core.Row) error { return nil })
	if err = errors.Join(err, s.Close()); err != nil {
		return sqlite.BackupInfo{}, err
	}
	return sign(ctx, signer, node, path, content, begun)
}

// sign writes into a finished file by whom it was made.
func sign(ctx context.Context, signer Signer, node, path string, c Content, at time.Time) (sqlite.BackupInfo, error) {
	s := Signature{Key: signer.Public(), Node: node, At: at}
	sum, err := signer.Sign(s.message(c))
	if err != nil {
		return sqlite.BackupInfo{}, core.Errorf(core.KindFailed, "the backup on %s cannot be signed: %w", node, err)
	}
	return sqlite.AddSignature(ctx, path, sqlite.Signature{
		Format: signatureFormat, Signer: s.Key, Node: node, At: core.Millis(at.UnixMilli()), Signature: sum,
	})
}

// signedBy is the signer of a file with this content; nil without a signature. A
// signature that is not one of these rows is an error.
func signedBy(ctx context.Context, s *sqlite.Store, c Content) (*Signature, error) {
	said, err := s.Signature(ctx)
	if err != nil || said == nil {
		return nil, err
	}
	if said.Format != signatureFormat {
		return nil, core.Errorf(core.KindInvalid, "%s is signed in the form %d, and this program knows %d", s.Path(), said.Format, signatureFormat).
			WithNext("use the release of unibusd that wrote it")
	}
	sig := Signature{Key: said.Signer, Node: said.Node, At: time.UnixMilli(int64(said.At)).UTC()}
	if _, err := core.ParseNodeName(sig.Node); err != nil || !verified(sig.Key, sig.message(c), said.Signature) {
		return nil, core.Errorf(core.KindInvalid, "%s holds other rows than were signed, or a signature that is not its own: it was changed after it was made", s.Path()).
			WithNext("keep the file, and try an older backup, or another copy of this one")
	}
	return &sig, nil
}

func verified(key string, message, signature []byte) bool {
	public, err := nkeys.FromPublicKey(key)
	return err == nil && nkeys.IsValidPublicClusterKey(key) && public.Verify(message, signature) == nil
}

// ParseSigner checks the public key of a cluster. KindInvalid for anything else.
func ParseSigner(key string) (string, error) {
	if !nkeys.IsValidPublicClusterKey(key) {
		return "", core.Errorf(core.KindInvalid, "%.80q is not the public key of a cluster", key).
			WithNext("give the 56 characters beginning with C that `unibusd backup` printed")
	}
	return key, nil
}
