package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"unibus/core"
)

// signatureTable is where a backup keeps who made it. No other file has it.
const signatureTable = "backup_signature"

const signatureSchema = "CREATE TABLE " + signatureTable + "(format INTEGER, signer TEXT, node TEXT, signed_at INTEGER, signature BLOB)"

func signatureObject() schemaObject {
	return schemaObject{"table", signatureTable, signatureTable, signatureSchema}
}

// Signature is what a backup says of who made it; whether it is true is for the
// caller to find out.
type Signature struct {
	Format    int64
	Signer    string // a public nkey
	Node      string
	At        core.Millis
	Signature []byte
}

// AddSignature writes a signature into a whole, unsigned file that no other
// process uses, and puts it on disk. KindInvalid where there is one already.
func AddSignature(ctx context.Context, path string, sig Signature) (BackupInfo, error) {
	s := New(Config{Path: path})
	if err := s.resolve(); err != nil {
		return BackupInfo{}, err
	}
	if err := s.initializeOrVerify(ctx, false); err != nil {
		return BackupInfo{}, err
	}
	db := sqlOpen(s.dsn("journal_mode(DELETE)", "synchronous(FULL)") + "&_txlock=immediate")
	err := s.runTransaction(ctx, 0, db, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, signatureSchema); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO "+signatureTable+"(format, signer, node, signed_at, signature) VALUES (?, ?, ?, ?, ?)",
			sig.Format, sig.Signer, sig.Node, int64(sig.At), sig.Signature)
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return BackupInfo{}, err
	}
	info, err := settleFile(s.path)
	return info, fileFailed(s.path, err)
}

// Signature reads it; nil where there is none. KindInvalid for what cannot be one.
func (s *Store) Signature(ctx context.Context) (sig *Signature, err error) {
	err = s.view(ctx, s.cfg.Timeout, func(ctx context.Context, tx *sql.Tx) error {
		there, err := texts(ctx, tx, "SELECT name FROM main.sqlite_schema WHERE name = '"+signatureTable+"'")
		if err != nil || len(there) == 0 {
			return err
		}
		sig, err = s.signatureIn(ctx, tx)
		return err
	})
	return sig, err
}

// signatureIn reads the one row that the table must have.
func (s *Store) signatureIn(ctx context.Context, tx *sql.Tx) (*Signature, error) {
	t := table{name: signatureTable, columns: words("format signer node signed_at signature"), primary: words("format")}
	var all []Signature
	err := scan(ctx, tx, t, t.all("LIMIT 2"), nil, func(c *rowDecoder) error {
		sig := Signature{Format: c.integer()}
		name, v := c.next()
		sig.Signer = c.textOf(name, v)
		name, v = c.next()
		sig.Node = c.textOf(name, v)
		sig.At, sig.Signature = c.millis(), c.blob(false)
		if len(c.faults) > 0 {
			sig = Signature{}
		}
		all = append(all, sig)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(all) != 1 || all[0].Signer == "" {
		return nil, core.Errorf(core.KindInvalid, "%s is said to be signed, and its signature cannot be read", s.path).
			WithNext("keep the file, and try an older backup")
	}
	return &all[0], nil
}
