package bus

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"unibus/core"
	"unibus/core/keys"
)

// markFile names the cluster and node that a data directory belongs to. It is
// written before the first clustered start: JetStream's own files do not say
// whether a stream was made by a server on its own, and such streams are lost
// when it joins a cluster.
const markFile = "cluster.json"

type mark struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
}

// jetstreamDir is where nats-server keeps accounts/streams/… below the data directory.
const jetstreamDir = "jetstream"

// claim makes the data directory and sees that it is this node's: KindRefused
// where it is another node's or cluster's, or holds streams of a server on its own.
func (cfg *Config) claim() error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return core.Errorf(core.KindFailed, "the data directory %s cannot be made: %s", cfg.DataDir, reason(err))
	}
	m, err := readMark(cfg.DataDir)
	if err != nil {
		return err
	}
	if m != nil {
		return cfg.checkMark(*m)
	}
	if cfg.Cluster == nil {
		return nil
	}
	streams, err := storedStreams(cfg.DataDir)
	if err != nil {
		return err
	}
	if streams > 0 {
		return core.Errorf(core.KindRefused, "the data directory %s holds %d streams of a server that ran on its own; they would be lost by joining a cluster", cfg.DataDir, streams).
			WithNext("start with an empty directory (--data DIR), or move %s away once its content is no longer needed", filepath.Join(cfg.DataDir, jetstreamDir))
	}
	return writeMark(cfg.DataDir, mark{Cluster: cfg.Cluster.Name, Node: cfg.Name})
}

func (cfg *Config) checkMark(m mark) error {
	if m.Node != cfg.Name {
		return core.Errorf(core.KindRefused, "the data directory %s belongs to the node %q, this is %q", cfg.DataDir, m.Node, cfg.Name).
			WithNext("give this node's own directory (--data DIR), or its name (--name %s)", m.Node)
	}
	switch {
	case cfg.Cluster == nil:
		return core.Errorf(core.KindRefused, "the data directory %s belongs to the cluster %q, and this node is started on its own", cfg.DataDir, m.Cluster).
			WithNext("give the cluster's flags (--cluster-name, --cluster-listen, --routes), or an empty directory")
	case cfg.Cluster != nil && m.Cluster != cfg.Cluster.Name:
		return core.Errorf(core.KindRefused, "the data directory %s belongs to the cluster %q, this is %q", cfg.DataDir, m.Cluster, cfg.Cluster.Name).
			WithNext("give the cluster's name (--cluster-name %s), or an empty directory", m.Cluster)
	}
	return nil
}

// readMark returns nil where the directory has no mark.
func readMark(dir string) (*mark, error) {
	path := filepath.Join(dir, markFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "%s cannot be read: %s", path, reason(err))
	}
	var m mark
	if err := json.Unmarshal(data, &m); err != nil || m.Cluster == "" || m.Node == "" {
		return nil, core.Errorf(core.KindRefused, "%s is damaged, so nobody can say whose data this is", path).
			WithNext("write {\"cluster\":\"NAME\",\"node\":\"NAME\"} into it if you know, else start with an empty directory")
	}
	return &m, nil
}

// writeMark writes the mark whole or not at all, and syncs it.
func writeMark(dir string, m mark) error {
	path := filepath.Join(dir, markFile)
	data, err := json.Marshal(m)
	if err == nil {
		err = keys.Replace(path, append(data, '\n'))
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be written: %s", path, reason(err))
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
		return 0, core.Errorf(core.KindFailed, "%s cannot be read: %s", filepath.Join(dir, jetstreamDir), reason(err))
	}
	n := 0
	for _, a := range accounts {
		streams, err := os.ReadDir(filepath.Join(dir, jetstreamDir, a.Name(), "streams"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && a.IsDir() {
			return 0, core.Errorf(core.KindFailed, "%s cannot be read: %s", filepath.Join(dir, jetstreamDir, a.Name()), reason(err))
		}
		n += len(streams)
	}
	return n, nil
}

// dropIndexes removes every stream's index, so that the server reads and checks
// the blocks themselves and takes from its peers what is damaged.
func dropIndexes(dir string) error {
	paths, err := filepath.Glob(filepath.Join(globEscape(dir), jetstreamDir, "*", "streams", "*", "msgs", "index.db"))
	for _, p := range paths {
		err = errors.Join(err, os.Remove(p))
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "the indexes below %s could not be dropped: %s", dir, reason(err))
	}
	return nil
}

// globEscape makes a path match itself alone.
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

// reason is what the system said, without the operation and path that the sentence has already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
