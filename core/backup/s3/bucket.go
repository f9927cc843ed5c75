// Package s3 puts scheduled backups into a bucket of an object store that speaks S3:
// Bucket implements backup.Destination. core/node makes one from the configuration. Every
// call has an end, also where the store accepts connections and answers nothing. Begin
// reading at New and Put.
package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"unibus/core"
	"unibus/core/keys"
)

// Config says where the bucket is.
type Config struct {
	Endpoint  string // https://HOST[:PORT]
	Region    string // "": us-east-1
	Bucket    string
	Prefix    string // begins the names of the objects: "unibus/"; "": none
	AccessKey string // file of the access key's id
	SecretKey string // file of the secret key; both are read for every request, so that they can be replaced
	CA        string // file of the authorities that are trusted; "": the system's

	Own   string        // begins the names of this cluster's backups: uploads of them that were not completed are removed
	Stall time.Duration // without progress of a transfer; 0: 2 min
	Call  time.Duration // for any other request; 0: 30 s
}

const (
	partBytes = 8 << 20 // of an upload; it is held in memory
	tries     = 3       // of one request, by the client
)

// Bucket is a bucket of an object store.
type Bucket struct {
	cfg    Config
	client *minio.Client
}

// New sends nothing. KindInvalid for an endpoint or authorities that cannot be used.
func New(cfg Config) (*Bucket, error) {
	if cfg.Stall == 0 {
		cfg.Stall = 2 * time.Minute
	}
	if cfg.Call == 0 {
		cfg.Call = 30 * time.Second
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" {
		return nil, core.Errorf(core.KindInvalid, "%.100q is not the URL of an object store", cfg.Endpoint).WithNext("write https://HOST or https://HOST:PORT")
	}
	transport, err := transport(cfg)
	if err != nil {
		return nil, err
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.New(keyFiles{cfg.AccessKey, cfg.SecretKey}), Secure: u.Scheme == "https", Transport: transport,
		Region: cfg.Region, MaxRetries: tries,
	})
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "%.100q is not the URL of an object store: %w", cfg.Endpoint, err).WithNext("write https://HOST or https://HOST:PORT")
	}
	return &Bucket{cfg, client}, nil
}

func transport(cfg Config) (*http.Transport, error) {
	t := &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: cfg.Call, IdleConnTimeout: time.Minute, DisableCompression: true,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if cfg.CA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(cfg.CA)
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "the authorities of the object store cannot be read: %w", err).WithNext("give a file of certificates in --backup-s3-ca")
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
		return nil, core.Errorf(core.KindInvalid, "%s holds no certificate", cfg.CA).WithNext("give a file of certificates in --backup-s3-ca")
	}
	return t, nil
}

// keyFiles are the files of an access key and its secret.
type keyFiles struct{ access, secret string }

// RetrieveWithCredContext implements credentials.Provider.
func (k keyFiles) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	v := credentials.Value{SignerType: credentials.SignatureV4}
	for file, to := range map[string]*string{k.access: &v.AccessKeyID, k.secret: &v.SecretAccessKey} {
		data, err := keys.ReadPrivate(file, "the key of the object store")
		if core.KindOf(err) == core.KindNotFound { // the advice is for seeds
			err = core.Errorf(core.KindInvalid, "%s does not exist: it is to hold a key of the object store", file).WithNext("write the key alone into that file")
		}
		if err != nil {
			return credentials.Value{}, err
		}
		if *to = strings.TrimSpace(string(data)); *to == "" || strings.ContainsAny(*to, " \t\r\n") {
			return credentials.Value{}, core.Errorf(core.KindInvalid, "%s does not hold a key of the object store and nothing more", file).
				WithNext("write the key alone into that file")
		}
	}
	return v, nil
}

// Retrieve implements credentials.Provider.
func (k keyFiles) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (keyFiles) IsExpired() bool { return true }

// String is the endpoint and the bucket.
func (b *Bucket) String() string {
	return strings.TrimSuffix(b.cfg.Endpoint, "/") + "/" + b.cfg.Bucket + "/" + b.cfg.Prefix
}

// Check lists the bucket, so that a key or a bucket that cannot be used is known before a
// backup is made. A store does not say how much it can take. Uploads that a killed
// process has left are removed, if the key may do that.
func (b *Bucket) Check(ctx context.Context, _ int64) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Call)
	defer cancel()
	listing, stop := context.WithCancel(ctx) // of one object
	defer stop()
	if o, ok := <-b.client.ListObjects(listing, b.cfg.Bucket, minio.ListObjectsOptions{Prefix: b.cfg.Prefix, Recursive: true, MaxKeys: 1}); ok && o.Err != nil {
		return b.explain("list", o.Err)
	}
	for u := range b.client.ListIncompleteUploads(ctx, b.cfg.Bucket, b.cfg.Prefix+b.cfg.Own, true) {
		if u.Err != nil {
			break
		}
		_ = b.client.RemoveIncompleteUpload(ctx, b.cfg.Bucket, u.Key) // it costs space, and is no backup
	}
	return nil
}

// Put uploads in parts. The object is there once the last request is answered, whole.
func (b *Bucket) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	ctx, progress, stop := b.stallable(ctx)
	defer stop()
	from, to := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(progressWriter{to, progress})
		_ = to.CloseWithError(err) // nil: the end; it never fails
		written <- err
	}()
	_, err := b.client.PutObject(ctx, b.cfg.Bucket, b.cfg.Prefix+name, from, -1, minio.PutObjectOptions{
		PartSize: partBytes, ContentType: "application/octet-stream", SendContentMd5: true,
	})
	_ = from.Close() // what is still being written fails then
	if failed := <-written; failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
		return failed
	}
	if err != nil {
		return b.explain("put a backup to", stalled(ctx, err))
	}
	return nil
}

// Open implements backup.Destination.
func (b *Bucket) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	ctx, progress, stop := b.stallable(ctx)
	o, err := b.client.GetObject(ctx, b.cfg.Bucket, b.cfg.Prefix+name, minio.GetObjectOptions{})
	if err != nil {
		stop()
		return nil, b.explain("read a backup of", err)
	}
	return download{
		read: func(p []byte) (int, error) {
			n, err := o.Read(p)
			progress()
			if err != nil && !errors.Is(err, io.EOF) {
				err = b.explain("read a backup of", stalled(ctx, err))
			}
			return n, err
		},
		close: func() error {
			stop()
			return o.Close()
		},
	}, nil
}

// List implements backup.Destination.
func (b *Bucket) List(ctx context.Context) (names []string, err error) {
	ctx, progress, stop := b.stallable(ctx)
	defer stop()
	for o := range b.client.ListObjects(ctx, b.cfg.Bucket, minio.ListObjectsOptions{Prefix: b.cfg.Prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, b.explain("list", stalled(ctx, o.Err))
		}
		progress()
		names = append(names, strings.TrimPrefix(o.Key, b.cfg.Prefix))
	}
	return names, nil
}

// Remove implements backup.Destination.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Call)
	defer cancel()
	err := b.client.RemoveObject(ctx, b.cfg.Bucket, b.cfg.Prefix+name, minio.RemoveObjectOptions{})
	if err != nil && minio.ToErrorResponse(err).Code != minio.NoSuchKey {
		return b.explain("remove a backup of", err)
	}
	return nil
}
