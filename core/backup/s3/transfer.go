package s3

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"unibus/core"
)

// errStalled is why a transfer ends that makes no progress.
var errStalled = errors.New("the store took or sent nothing for too long")

// stallable gives a transfer a context that ends where progress is not called for too
// long.
func (b *Bucket) stallable(ctx context.Context) (_ context.Context, progress, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(b.cfg.Stall, func() { cancel(errStalled) })
	return ctx, func() { timer.Reset(b.cfg.Stall) }, func() {
		timer.Stop()
		cancel(nil)
	}
}

// stalled is why a transfer ended.
func stalled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return cause
	}
	return err
}

type progressWriter struct {
	to       io.Writer
	progress func()
}

// Write implements io.Writer.
func (w progressWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.progress()
	return n, err
}

type download struct {
	read  func([]byte) (int, error)
	close func() error
}

// Read implements io.Reader.
func (d download) Read(p []byte) (int, error) { return d.read(p) }

// Close implements io.Closer.
func (d download) Close() error { return d.close() }

// explain says what the store answered. Neither key is in it.
func (b *Bucket) explain(doing string, err error) error {
	var ours *core.Error
	if errors.As(err, &ours) {
		return ours
	}
	answer := minio.ToErrorResponse(err)
	kind, next := core.KindUnavailable, "see that the store answers at "+b.cfg.Endpoint
	switch answer.Code {
	case minio.AccessDenied, "AllAccessDisabled":
		kind, next = core.KindRefused, "give the key the rights to list, put, get and delete objects in "+b.cfg.Bucket
	case minio.InvalidAccessKeyID, minio.SignatureDoesNotMatch:
		kind, next = core.KindRefused, "write the right key into "+b.cfg.AccessKey+" and "+b.cfg.SecretKey
	case minio.NoSuchBucket:
		kind, next = core.KindNotFound, "make the bucket "+b.cfg.Bucket+", or name another one in --backup-s3-bucket"
	case "XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage":
		kind, next = core.KindRefused, "free space in the store, or lower backup-keep"
	}
	return core.Errorf(kind, "unibusd cannot %s the bucket %s at %s: %w", doing, b.cfg.Bucket, b.cfg.Endpoint, err).WithNext("%s", next)
}
