package backup

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"

	"filippo.io/age"

	"unibus/core"
)

// ageHeader begins every file that age has encrypted.
const ageHeader = "age-encryption.org/v1"

// RestoreFile is Restore of a backup that may be encrypted. identity is a file of age
// identities; "" where the backup is in clear. The decrypted bytes lie beside the new
// database until it is made.
func RestoreFile(ctx context.Context, from, to, identity string, want Expect) (out Restored, err error) {
	err = withPlainFile(ctx, from, filepath.Dir(to), identity, want, func(plain string, want Expect) error {
		out, err = Restore(ctx, plain, to, want)
		return err
	})
	if err != nil {
		return Restored{}, err
	}
	if out.From, err = filepath.Abs(from); err != nil {
		return Restored{}, core.Errorf(core.KindInvalid, "%q is not a path for a file", from)
	}
	out.SHA256, _, err = fileSHA256(from)
	return out, err
}

// CheckFile is Check of a backup that may be encrypted, and of what it must be.
func CheckFile(ctx context.Context, from, identity string, want Expect) (out Content, err error) {
	err = withPlainFile(ctx, from, "", identity, want, func(plain string, want Expect) error {
		if _, err := want.checkSHA256(plain); err != nil {
			return err
		}
		if out, err = Check(ctx, plain); err != nil {
			return err
		}
		return want.checkSigner(from, out.Signed)
	})
	return out, err
}

// withPlainFile calls f with the backup in clear. A decrypted file is in a directory of
// its own in dir ("": the system's for temporary files), and is removed afterwards.
func withPlainFile(ctx context.Context, from, dir, identity string, want Expect, f func(plain string, want Expect) error) error {
	if !isEncrypted(from) {
		return f(from, want)
	}
	if identity == "" {
		return core.Errorf(core.KindInvalid, "%s is encrypted", from).WithNext("give the age identity of one of its recipients with --identity FILE")
	}
	ids, err := ReadIdentities(identity)
	if err != nil {
		return err
	}
	if _, err := want.checkSHA256(from); err != nil {
		return err
	}
	want.SHA256 = "" // of the encrypted bytes
	own, err := os.MkdirTemp(dir, ".unibus-decrypted-*")
	if err != nil {
		return core.Errorf(core.KindFailed, "the backup cannot be decrypted: %w", err).WithNext("see that the directory of the new database is there, is yours and has free space")
	}
	defer func() { _ = os.RemoveAll(own) }() // only its owner can read it
	plain := filepath.Join(own, "backup.db")
	if err := decryptFile(ctx, from, plain, ids); err != nil {
		return err
	}
	return f(plain, want)
}

// isEncrypted looks at the first bytes. A file that is not there is one in clear, of
// which Check says so.
func isEncrypted(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	head, err := bufio.NewReader(f).Peek(len(ageHeader))
	return err == nil && string(head) == ageHeader
}

func decryptFile(ctx context.Context, from, to string, with []age.Identity) error {
	f, err := os.Open(from)
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be read: %w", from, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	err = decryptToFile(readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return f.Read(p)
	}), to, true, with)
	var other *age.NoIdentityMatchError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &other):
		return core.Errorf(core.KindRefused, "%s is encrypted to other recipients than this identity", from).WithNext("give the identity of one of its recipients with --identity FILE")
	case ctx.Err() != nil:
		return core.Errorf(core.KindFailed, "stopped; nothing was written")
	}
	return core.Errorf(core.KindInvalid, "%s cannot be decrypted: it is damaged, or its end is missing: %w", from, err).
		WithNext("keep the file, and try an older backup, or another copy of this one")
}

// readerFunc is a function as an io.Reader.
type readerFunc func([]byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
