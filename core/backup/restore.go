package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"unibus/core"
	"unibus/core/store/sqlite"
)

// Expect is what a backup must be, beyond a whole one.
type Expect struct {
	SHA256 string   // of its bytes, in hex; "": whatever it is
	Signer string   // a cluster's public nkey that must have signed it; "": any or none
	Ignore []string // TABLE or TABLE.COLUMN that may be left behind, although rows hold something there
}

// Restored is a database that was made of a backup.
type Restored struct {
	Path   string `json:"path"`   // absolute
	From   string `json:"from"`   // absolute
	SHA256 string `json:"sha256"` // of the bytes of From, in hex
	Content
	Leftovers []core.Leftover `json:"leftovers,omitempty"` // what the backup holds and the database does not
}

// Restore makes the new database to of the backup from, which is checked first
// and left as it is. Nothing but its rows comes along: they are read by our
// statements and written into a file that we make, which is checked after. The
// kinds of error are those of Check; KindExists where there is something at to,
// KindRefused where the signer is not the one that was expected. After an error
// there is nothing new.
func Restore(ctx context.Context, from, to string, want Expect) (Restored, error) {
	d, err := newPartialFile(to)
	if err != nil {
		return Restored{}, err
	}
	limited, cancel := withReadTimeout(ctx, from)
	defer cancel()
	src, err := open(limited, from)
	if err != nil {
		return Restored{}, err
	}
	defer func() { _ = src.Close() }() // nothing was written to it
	out := Restored{Path: d.final, From: src.Path()}
	if out.SHA256, err = want.checkSHA256(src.Path()); err != nil {
		return Restored{}, err
	}
	if err := checkWhole(limited, src); err != nil {
		return Restored{}, err
	}
	if out.Content, err = d.write(limited, src); err == nil {
		out.Leftovers, err = want.checkLeftovers(limited, src)
	}
	if err == nil {
		err = want.checkSigner(src.Path(), out.Signed)
	}
	if err == nil {
		err = d.readBackAndPlace(limited, out.Content)
	}
	if err != nil {
		return Restored{}, errors.Join(stopped(ctx, d, err), d.discard())
	}
	return out, nil
}

// checkSHA256 compares the SHA-256 of a file with the one that is wanted. The sum does not cover a log beside the file.
func (want Expect) checkSHA256(path string) (string, error) {
	got, _, err := fileSHA256(path)
	if err != nil || want.SHA256 == "" {
		return got, err
	}
	if !strings.EqualFold(want.SHA256, got) {
		return "", core.Errorf(core.KindFailed, "%s is not the file that was meant, or was damaged since: its SHA-256 is %s", path, got).
			WithNext("fetch it again from where it was kept")
	}
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		return "", core.Errorf(core.KindInvalid, "%s has a log beside it, %s-wal, whose changes are in no SHA-256", path, path).
			WithNext("move the log away, or leave out --sha256")
	}
	return got, nil
}

// checkLeftovers refuses a backup that holds what unibus does not keep, unless the
// operator has named it.
func (want Expect) checkLeftovers(ctx context.Context, src *sqlite.Store) ([]core.Leftover, error) {
	left, err := src.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	if err := core.CheckIgnored(left, want.Ignore); err != nil {
		return nil, err
	}
	open := core.Unignored(left, want.Ignore)
	if len(open) == 0 {
		return left, nil
	}
	names, flags := make([]string, len(open)), ""
	for i, l := range open {
		names[i] = fmt.Sprintf("%s (rows: %d)", l, l.Rows)
		flags += " --ignore " + core.ShellQuote(l.Name())
	}
	return nil, core.Errorf(core.KindRefused, "%s holds what unibus does not keep, and a restore leaves it behind: %s", src.Path(), strings.Join(names, ", ")).
		WithNext("keep the backup, and restore the rest of it with%s", flags)
}

func (want Expect) checkSigner(path string, by *Signature) error {
	switch {
	case want.Signer == "" || by != nil && by.Key == want.Signer:
		return nil
	case by == nil:
		return core.Errorf(core.KindRefused, "%s has no signature, and %s is to have signed it", path, want.Signer).
			WithNext("give a backup that this cluster has made, or leave out --signer")
	}
	return core.Errorf(core.KindRefused, "%s was signed by another cluster's key: %s", path, by.Key).
		WithNext("give a backup that %s has signed", want.Signer)
}

// rowsPerTransaction go into the new file in one transaction.
const rowsPerTransaction = 1000

// write fills the partial file with the rows of a file, and says what they are and who signed
// them. The rows are read once: the signed rows are the written ones.
func (d partialFile) write(ctx context.Context, src *sqlite.Store) (Content, error) {
	w, err := sqlite.CreateVersion(ctx, d.path, src.SchemaVersion())
	if err != nil {
		return Content{}, err
	}
	got, err := copyRows(ctx, src, w)
	if err == nil {
		got.Signed, err = signedBy(ctx, src, got)
	}
	if err == nil {
		_, err = w.Finish(ctx)
	}
	if err != nil {
		return Content{}, errors.Join(err, w.Discard())
	}
	return got, nil
}

func copyRows(ctx context.Context, src *sqlite.Store, w *sqlite.Writer) (Content, error) {
	var batch []core.Row
	flush := func() error {
		rows := batch
		batch = batch[:0]
		return w.Put(ctx, rows)
	}
	got, err := readRows(ctx, src, func(r core.Row) error {
		batch = append(batch, r)
		if len(batch) < rowsPerTransaction {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return got, err
}

// readBackAndPlace is verifyAndPlace for a file that a Writer has finished: that has looked at its
// pages, and for rows that refer to nothing.
func (d partialFile) readBackAndPlace(ctx context.Context, want Content) error {
	s, err := open(ctx, d.path)
	if err != nil {
		return err
	}
	got, err := readRows(ctx, s, func(core.Row) error { return nil })
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	if !got.Same(want) {
		return d.contentDiffers(got, want)
	}
	return d.place()
}

func (d partialFile) contentDiffers(got, want Content) error {
	return core.Errorf(core.KindFailed, "what was written for %s is not what it was made of (%s, not %s); it was removed", d.final, got, want).
		WithNext("check the disk, then try again")
}

// verifyAndPlace reads the partial file back before it gets its name.
func (d partialFile) verifyAndPlace(ctx context.Context, want Content) (Content, error) {
	got, err := Check(ctx, d.path)
	if err != nil {
		return Content{}, err
	}
	if !got.Same(want) {
		return Content{}, d.contentDiffers(got, want)
	}
	return got, d.place()
}
