package demo

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"unibus/core"
	"unibus/core/keys"
)

// descriptionFile is the name of the file that describes a demo. It appears by
// rename once every node serves, and is removed when the demo ends.
const descriptionFile = "demo.json"

// Description is the content of demo.json. Paths are absolute.
type Description struct {
	Cluster    string     `json:"cluster"`
	CA         string     `json:"ca"`                  // certificate of the authority that clients trust
	LegacyDB   string     `json:"legacy_db,omitempty"` // the first node's SQLite file; "" where the demo began with KV
	ClusterKey string     `json:"cluster_key"`         // public; a demo is another cluster each time, often at the same addresses
	Nodes      []Node     `json:"nodes"`
	Identities Identities `json:"identities"`
	Console    string     `json:"console"` // a command line for a shell
}

// Node is one process of a demo. PID is that of its last start, also after it has
// ended.
type Node struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	PID     int    `json:"pid"`
	DataDir string `json:"data_dir"`
}

// Identities are seed files of mode 0600: one operator of each role, and some active users.
type Identities struct {
	Admin   string   `json:"admin"`
	Viewer  string   `json:"viewer"`
	System  string   `json:"system"`
	Auditor string   `json:"auditor"`
	Users   []string `json:"users"`
}

// URLs are the addresses of all nodes. Clients get no addresses from the cluster,
// so they need them all.
func (d Description) URLs() []string {
	var out []string
	for _, n := range d.Nodes {
		out = append(out, n.URL)
	}
	return out
}

// Node returns the node of a name. KindNotFound says which there are.
func (d Description) Node(name string) (Node, error) {
	var names []string
	for _, n := range d.Nodes {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return Node{}, core.Errorf(core.KindNotFound, "the demo has no node %q", name).
		WithNext("its nodes are %s", strings.Join(names, ", "))
}

// Load reads the demo.json of a directory. KindNotFound if there is none (yet),
// KindFailed if it is damaged.
func Load(dir string) (Description, error) {
	path := filepath.Join(dir, descriptionFile)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Description{}, core.Errorf(core.KindNotFound, "no demo is running in %s: there is no %s", dir, descriptionFile).
			WithNext("start one with `unibusd demo --dir %s`; the file appears once every node serves", dir)
	case err != nil:
		return Description{}, core.Errorf(core.KindFailed, "%s cannot be read: %w", path, err).
			WithNext("check whose file it is")
	}
	var d Description
	if err := json.Unmarshal(data, &d); err != nil || len(d.Nodes) == 0 {
		return Description{}, core.Errorf(core.KindFailed, "%s is not the description of a demo", path).
			WithNext("end that demo and start a new one in an empty directory")
	}
	return d, nil
}

// write puts demo.json in place by rename, so that a waiting reader always reads a
// complete file.
func (d Description) write(dir string) error {
	data, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be encoded: %w", descriptionFile, err)
	}
	return replaceFile(filepath.Join(dir, descriptionFile), append(data, '\n'))
}

func replaceFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be written: %w", path, err)
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(0o600), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return core.Errorf(core.KindFailed, "%s cannot be written: %w", path, err)
	}
	return nil
}

// setPID records the process of a node's new start. It takes a lock, because two
// terminals may start two nodes at once.
func setPID(dir, node string, pid int) error {
	return keys.WithFileLock(filepath.Join(dir, ".demo.lock"), func() error {
		d, err := Load(dir)
		if err != nil {
			return err
		}
		for i := range d.Nodes {
			if d.Nodes[i].Name == node {
				d.Nodes[i].PID = pid
			}
		}
		return d.write(dir)
	})
}

// consoleCommand is the command line that opens the console, quoted for a shell.
func consoleCommand(d Description, program string) string {
	return strings.Join([]string{
		shellWord(program), "--server", strings.Join(d.URLs(), ","),
		"--identity", shellWord(d.Identities.Admin), "--tls-ca", shellWord(d.CA), "--cluster-key", d.ClusterKey,
	}, " ")
}

// shellWord quotes s if a shell would split it.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:=,@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
