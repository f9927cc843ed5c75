package backup

import (
	"context"
	"errors"
	"strings"

	"unibus/core"
)

// Restored is a database that was made of a backup.
type Restored struct {
	Path   string `json:"path"`   // absolute
	From   string `json:"from"`   // absolute
	SHA256 string `json:"sha256"` // of the bytes of From, in hex
	Content
}

// Restore makes the new database to of the backup from, which is checked first
// and after, and left as it is. sha256 is what its bytes must sum up to, in hex;
// "" for whatever they do. The kinds of error are those of Check; KindExists
// where there is something at to. After an error there is nothing new.
func Restore(ctx context.Context, from, to, sha256 string) (Restored, error) {
	d, err := newDraft(to)
	if err != nil {
		return Restored{}, err
	}
	src, err := open(ctx, from)
	if err != nil {
		return Restored{}, err
	}
	defer func() { _ = src.Close() }() // nothing was written to it
	out := Restored{Path: d.final, From: src.Path()}
	if out.SHA256, _, err = sum(src.Path()); err != nil {
		return Restored{}, err
	}
	if sha256 != "" && !strings.EqualFold(sha256, out.SHA256) {
		return Restored{}, core.Errorf(core.KindFailed, "%s is not the file that was meant, or was damaged since: its SHA-256 is %s", from, out.SHA256).
			WithNext("fetch it again from where it was kept")
	}
	if out.Content, err = read(ctx, src); err != nil {
		return Restored{}, err
	}
	if _, err = src.Backup(ctx, d.path); err != nil { // what a log beside from holds comes along
		return Restored{}, stopped(ctx, d, err)
	}
	if err = d.proveAndPlace(ctx, out.Content); err != nil {
		return Restored{}, errors.Join(stopped(ctx, d, err), d.discard())
	}
	return out, nil
}

// proveAndPlace reads the draft back before it gets its name.
func (d draft) proveAndPlace(ctx context.Context, want Content) error {
	got, err := Check(ctx, d.path)
	if err != nil {
		return err
	}
	if !got.Same(want) {
		return core.Errorf(core.KindFailed, "what was written for %s is not what it was made of (%s, not %s); it was removed", d.final, got, want).
			WithNext("check the disk, then try again")
	}
	return d.place()
}
