package node

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/keys"
)

// streamTimesPath is the file that remembers when the control plane's streams were
// created. A stream that was deleted and created again is then detected after a restart too.
func (n *Node) streamTimesPath() string { return filepath.Join(n.cfg.Data, "streams.json") }

// readStreamTimes returns nothing if there is no file yet. KindFailed.
func readStreamTimes(path string) (map[string]core.Millis, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var known map[string]core.Millis
	if err == nil {
		err = json.Unmarshal(data, &known)
	}
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "%s cannot be read: %w", path, err).
			WithNext("remove it: the node then trusts the streams that exist")
	}
	return known, nil
}

// saveStreamTimes returns the function that the observer calls after each look, one at a time.
func (n *Node) saveStreamTimes(saved map[string]core.Millis) func(cluster.View) {
	return func(cluster.View) {
		now := n.observer.Streams()
		if maps.Equal(now, saved) && (len(now) == 0 || !wasRemoved(n.streamTimesPath())) {
			return
		}
		data, err := json.Marshal(now)
		if err == nil {
			err = keys.Replace(n.streamTimesPath(), append(data, '\n'))
		}
		if err != nil {
			n.log.Warn("the creation times of the streams cannot be saved; trying again after the next look", "error", err)
			return
		}
		saved = now
	}
}
