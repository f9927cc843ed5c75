package config

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"unibus/core"
)

// readOwned reads a configuration file that only root and this user can change: a user
// who can write it can add an operator. It holds no secret, so others may read it. A
// link is followed: the checks are of the file behind it and the directory where that
// file is. Directories above are not looked at.
func readOwned(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fileError(file, err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, fileError(file, err)
	}
	if err := checkOwner("the configuration file", file, info); err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() { // a pipe has no directory that counts
		if err := checkFolder(file); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fileError(file, err)
	}
	return data, nil
}

// checkFolder looks at the directory of the file itself: a user who can write there can put another file in its
// place.
func checkFolder(file string) error {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return fileError(file, err)
	}
	dir, err := filepath.Abs(filepath.Dir(real))
	if err != nil {
		return fileError(file, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fileError(file, err)
	}
	if info.Mode()&fs.ModeSticky != 0 { // as in /tmp: only the owner of a file can replace it
		return nil
	}
	return checkOwner("the directory of the configuration file,", dir, info)
}

func checkOwner(what, path string, info fs.FileInfo) error {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return core.Errorf(core.KindRefused, "%s %s belongs to the user %d, who is neither root nor the user %d that reads it", what, path, st.Uid, os.Geteuid()).
			WithNext("chown root %s", core.ShellQuote(path))
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return core.Errorf(core.KindRefused, "%s %s can be changed by others (mode %04o), and any of them can add an operator", what, path, mode).
			WithNext("chmod go-w %s", core.ShellQuote(path))
	}
	return nil
}
