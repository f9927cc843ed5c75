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

// streamsPath is the file that remembers when the control plane's streams were
// created, so that one which was deleted and created again is found out after a
// restart too.
func (n *Node) streamsPath() string { return filepath.Join(n.cfg.Data, "streams.json") }

// readStreams returns nothing where there is no file yet. KindFailed.
func readStreams(path string) (map[string]core.Millis, error) {
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
			WithNext("remove it: the node then takes the streams that exist for the first ones")
	}
	return known, nil
}

// saveStreams returns what the observer calls after each look, one at a time.
func (n *Node) saveStreams(saved map[string]core.Millis) func(cluster.View) {
	return func(cluster.View) {
		now := n.observer.Streams()
		if maps.Equal(now, saved) {
			return
		}
		data, err := json.Marshal(now)
		if err == nil {
			err = keys.Replace(n.streamsPath(), append(data, '\n'))
		}
		if err != nil {
			n.log.Warn("the streams' creation times cannot be saved; it is tried again at the next look", "error", err)
			return
		}
		saved = now
	}
}
