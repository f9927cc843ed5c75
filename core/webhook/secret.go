package webhook

import (
	"bytes"
	"errors"
	"io/fs"
	"os"

	"unibus/core"
)

// The bounds of a secret, in bytes.
const (
	minSecret = 16
	maxSecret = 4096
)

// ReadSecret reads the secret that signs what is sent. A line feed at the end is not a part of it.
// KindInvalid for a file that is not there, or is no secret; KindRefused for one that others can read.
func ReadSecret(path string) ([]byte, error) {
	next := "make one: head -c 32 /dev/urandom | base64 | install -m 600 /dev/stdin " + core.ShellQuote(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, core.Errorf(core.KindInvalid, "--webhook-secret-file %s does not exist", path).WithNext("%s", next)
	case err != nil:
		return nil, unreadable(path, err)
	case !info.Mode().IsRegular():
		return nil, core.Errorf(core.KindInvalid, "--webhook-secret-file %s is not a regular file", path).WithNext("%s", next)
	case info.Mode().Perm()&0o077 != 0:
		return nil, core.Errorf(core.KindRefused, "--webhook-secret-file %s can be read by others", path).WithNext("chmod 600 %s", core.ShellQuote(path))
	case info.Size() > maxSecret:
		return nil, core.Errorf(core.KindInvalid, "--webhook-secret-file %s has %d bytes, and a secret has at most %d", path, info.Size(), maxSecret).WithNext("%s", next)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	secret = bytes.TrimRight(secret, "\r\n")
	if len(secret) < minSecret {
		return nil, core.Errorf(core.KindInvalid, "--webhook-secret-file %s has less than %d bytes: a secret that short can be guessed", path, minSecret).WithNext("%s", next)
	}
	return secret, nil
}

func unreadable(path string, err error) error {
	e := core.Errorf(core.KindInvalid, "--webhook-secret-file %s cannot be read", path)
	e.Err = err
	return e.WithNext("check its owner: the user that runs unibusd must be able to read it")
}
