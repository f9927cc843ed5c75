package node

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/keys"
)

// dataIDs remembers the id of every node's data directory, on disk. A node that comes back
// with another one has lost what it had: its replicas are empty until they are copied.
type dataIDs struct {
	path string

	mu    sync.Mutex
	known map[string]knownData // by node
	back  map[string]bool      // nodes that were seen last with an earlier id: their data is there
}

// knownData is what is known of one node's data directory.
type knownData struct {
	ID      string      `json:"id"`
	Earlier []string    `json:"earlier,omitempty"` // ids before, newest last
	Renewed core.Millis `json:"renewed,omitempty"` // when the present one was seen first, if it is not the first
}

// earlierIDs is how many earlier ids are kept: two processes of one name would take turns.
const earlierIDs = 8

func (d *dataIDs) load(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.path, d.known, d.back = filepath.Join(dir, "data-ids.json"), map[string]knownData{}, map[string]bool{}
	data, err := os.ReadFile(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, &d.known)
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be read: %w", d.path, err).
			WithNext("remove it: the node then takes the data directories of the others for the first ones")
	}
	return nil
}

// learn takes what nodes say of themselves, and returns the names of those that began anew.
func (d *dataIDs) learn(infos []cluster.Info, now core.Millis) (renewed []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := len(d.known) > 0 && wasRemoved(d.path)
	for _, i := range infos {
		k, known := d.known[i.Name]
		if i.DataID == "" {
			continue
		}
		// Of two processes of one name the real one is left, or an old disk was put back.
		d.back[i.Name] = slices.Contains(k.Earlier, i.DataID)
		if i.DataID == k.ID || d.back[i.Name] {
			continue
		}
		next := knownData{ID: i.DataID}
		if known {
			renewed = append(renewed, i.Name)
			next.Renewed, next.Earlier = now, append(slices.Clone(k.Earlier), k.ID)
			next.Earlier = next.Earlier[max(0, len(next.Earlier)-earlierIDs):]
		}
		d.known[i.Name], changed = next, true
	}
	if !changed {
		return nil, nil
	}
	data, err := json.Marshal(d.known)
	if err == nil {
		err = keys.Replace(d.path, append(data, '\n'))
	}
	return renewed, err
}

// renewed are the nodes that began anew, and when. A node is none of them while it has the
// directory that it had before.
func (d *dataIDs) renewed() map[string]core.Millis {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]core.Millis{}
	for name, k := range d.known {
		if k.Renewed != 0 && !d.back[name] {
			out[name] = k.Renewed
		}
	}
	return out
}

// learnDataIDs records which nodes have begun with an empty data directory.
func (n *Node) learnDataIDs(infos []cluster.Info) {
	now := core.MillisOf(time.Now())
	renewed, err := n.dataIDs.learn(infos, now)
	if err != nil {
		n.log.Warn("the ids of the nodes' data directories cannot be saved; they are known until the restart", "error", err)
	}
	for _, name := range renewed {
		n.log.Warn("a node began with an empty data directory", "other", name)
		n.recorder.Record([]cluster.Event{{At: now, Level: cluster.Degraded, About: "node." + name, Text: "began with an empty data directory"}})
	}
}
