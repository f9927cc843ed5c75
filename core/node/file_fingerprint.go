package node

import (
	"context"
	"sync/atomic"
	"time"

	"unibus/core"
	"unibus/core/store/sqlite"
)

// fingerprintEvery is the pause between two looks at a file that was not written.
const fingerprintEvery = countEvery

// fingerprintShare bounds what fingerprints may cost: a pause is so many times as long
// as the reading before it.
const fingerprintShare = 20

// fileFingerprint keeps the fingerprint of the node's SQLite file, by which the cluster
// tells several files apart. It reads the whole file, so only after the file was written.
type fileFingerprint struct {
	latest atomic.Pointer[string]

	watch        fileWatch
	rereadNeeded bool
}

// fingerprintedFile is a file whose rows have a fingerprint.
type fingerprintedFile interface {
	Path() string
	Fingerprint(ctx context.Context) (string, error)
}

func (f *fileFingerprint) run(ctx context.Context, open func() *sqlite.Store) {
	for ctx.Err() == nil {
		pause := fingerprintEvery
		if file := open(); file != nil {
			pause = f.update(ctx, file)
		}
		sleep(ctx, core.UntilTick(pause))
	}
}

// update says how long to wait before the next one.
func (f *fileFingerprint) update(ctx context.Context, file fingerprintedFile) (pause time.Duration) {
	if f.rereadNeeded = f.watch.written(file.Path()) || f.rereadNeeded; !f.rereadNeeded {
		return fingerprintEvery
	}
	begun := time.Now()
	if sum, err := file.Fingerprint(ctx); err == nil {
		f.latest.Store(&sum)
		f.rereadNeeded = false
	}
	return max(fingerprintEvery, fingerprintShare*time.Since(begun))
}

// text is "" before the first fingerprint.
func (f *fileFingerprint) text() string {
	if sum := f.latest.Load(); sum != nil {
		return *sum
	}
	return ""
}
