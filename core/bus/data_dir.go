package bus

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
)

// ownerFile names the cluster and node that own a data directory. It is written before
// the first clustered start. JetStream's own files do not say whether a server on its
// own made a stream, and such streams are lost when it joins a cluster.
const ownerFile = "cluster.json"

type owner struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	ID      string `json:"id,omitempty"` // of what JetStream keeps here; a directory that was emptied gets another one
}

// jetstreamDir is where nats-server keeps accounts/streams/… below the data directory.
const jetstreamDir = "jetstream"

// claimDir makes the data directory and writes the owner into it. KindRefused where it
// belongs to another node or cluster, or holds streams of a server on its own.
func (cfg *Config) claimDir() (owner, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return owner{}, core.Errorf(core.KindFailed, "the data directory %s cannot be made: %s", cfg.DataDir, fileReason(err))
	}
	o, err := readOwner(cfg.DataDir)
	switch {
	case err != nil:
		return owner{}, err
	case o != nil:
		if err := cfg.checkOwner(*o); err != nil {
			return owner{}, err
		}
		if o.ID != "" && hasStreams(cfg.DataDir) {
			return *o, nil
		}
	case cfg.Cluster == nil:
		return owner{}, nil
	default:
		streams, err := storedStreams(cfg.DataDir)
		if err != nil {
			return owner{}, err
		}
		if streams > 0 {
			return owner{}, core.Errorf(core.KindRefused, "the data directory %s holds %d streams of a server that ran on its own; they would be lost by joining a cluster", cfg.DataDir, streams).
				WithNext("start with an empty directory (--data DIR), or move %s away once its content is no longer needed", filepath.Join(cfg.DataDir, jetstreamDir))
		}
	}
	mine := owner{Cluster: cfg.Cluster.Name, Node: cfg.Name, ID: rand.Text()}
	return mine, writeOwner(cfg.DataDir, mine)
}

func (cfg *Config) checkOwner(o owner) error {
	if o.Node != cfg.Name {
		return core.Errorf(core.KindRefused, "the data directory %s belongs to the node %q, this is %q", cfg.DataDir, o.Node, cfg.Name).
			WithNext("give this node's own directory (--data DIR), or its name (--name %s)", o.Node)
	}
	switch {
	case cfg.Cluster == nil:
		return core.Errorf(core.KindRefused, "the data directory %s belongs to the cluster %q, and this node is started on its own", cfg.DataDir, o.Cluster).
			WithNext("give the cluster's flags (--cluster-name, --cluster-listen, --routes), or an empty directory")
	case cfg.Cluster != nil && o.Cluster != cfg.Cluster.Name:
		return core.Errorf(core.KindRefused, "the data directory %s belongs to the cluster %q, this is %q", cfg.DataDir, o.Cluster, cfg.Cluster.Name).
			WithNext("give the cluster's name (--cluster-name %s), or an empty directory", o.Cluster)
	}
	return nil
}

// readOwner returns nil where the directory has no owner yet.
func readOwner(dir string) (*owner, error) {
	path := filepath.Join(dir, ownerFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "%s cannot be read: %s", path, fileReason(err))
	}
	var o owner
	if err := json.Unmarshal(data, &o); err != nil || o.Cluster == "" || o.Node == "" {
		return nil, core.Errorf(core.KindRefused, "%s is damaged: the owner of this data is not known", path).
			WithNext("write {\"cluster\":\"NAME\",\"node\":\"NAME\"} into it if you know both names, else start with an empty directory")
	}
	return &o, nil
}

// writeOwner writes the file whole or not at all, and syncs it.
func writeOwner(dir string, o owner) error {
	path := filepath.Join(dir, ownerFile)
	data, err := json.Marshal(o)
	if err == nil {
		err = keys.Replace(path, append(data, '\n'))
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be written: %s", path, fileReason(err))
	}
	return nil
}

// storedStreams counts the streams of every account.
func storedStreams(dir string) (int, error) {
	accounts, err := os.ReadDir(filepath.Join(dir, jetstreamDir))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, core.Errorf(core.KindFailed, "%s cannot be read: %s", filepath.Join(dir, jetstreamDir), fileReason(err))
	}
	n := 0
	for _, a := range accounts {
		streams, err := os.ReadDir(filepath.Join(dir, jetstreamDir, a.Name(), "streams"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && a.IsDir() {
			return 0, core.Errorf(core.KindFailed, "%s cannot be read: %s", filepath.Join(dir, jetstreamDir, a.Name()), fileReason(err))
		}
		n += len(streams)
	}
	return n, nil
}

// StoredStreams are the streams of CONTROL of which there is a directory on disk, whether the
// server has read them or not. nil: it cannot be determined.
func (s *Server) StoredStreams() []string {
	entries, err := os.ReadDir(filepath.Join(s.cfg.DataDir, jetstreamDir, auth.AccountControl, "streams"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || !s.cfg.JetStream {
		return nil
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// deleteIndexes deletes every stream's index, so that the server reads and checks the
// blocks themselves and takes from its peers what is damaged.
func deleteIndexes(dir string) error {
	paths, err := filepath.Glob(filepath.Join(globEscape(dir), jetstreamDir, "*", "streams", "*", "msgs", "index.db"))
	for _, p := range paths {
		err = errors.Join(err, os.Remove(p))
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "the indexes below %s could not be deleted: %s", dir, fileReason(err))
	}
	return nil
}

// globEscape returns a pattern that matches this path alone.
func globEscape(path string) string {
	var out []rune
	for _, r := range path {
		switch r {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}

// StreamDir is JetStream's directory; "" without JetStream.
func (s *Server) StreamDir() string {
	if !s.cfg.JetStream {
		return ""
	}
	return filepath.Join(s.cfg.DataDir, jetstreamDir)
}

// OwnerFile is the file that says which node owns the data directory; "" where there is none.
func (s *Server) OwnerFile() string {
	if s.cfg.Cluster == nil {
		return ""
	}
	return filepath.Join(s.cfg.DataDir, ownerFile)
}

// DataID tells the content of the data directory from that of another one, or of the same
// one before it was emptied; "" without a cluster.
func (s *Server) DataID() string { return s.dataID }

// hasStreams is true where JetStream has kept something in the data directory before.
func hasStreams(dir string) bool {
	entries, err := os.ReadDir(filepath.Join(dir, jetstreamDir))
	return err == nil && len(entries) > 0
}
