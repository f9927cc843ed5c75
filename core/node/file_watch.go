package node

import (
	"os"
	"time"
)

// fileWatch tells whether any process wrote to a SQLite file since the last call. A
// commit goes into the file or into the log beside it.
type fileWatch struct {
	path              string
	stamp             [2]fileStamp
	changedAtLastCall bool // it was written just before the last call, perhaps during the review
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// written is called with "" while no file is served.
func (w *fileWatch) written(path string) bool {
	var now [2]fileStamp
	for i, p := range []string{path, path + "-wal"} {
		if path == "" {
			break
		}
		if st, err := os.Stat(p); err == nil {
			now[i] = fileStamp{st.ModTime(), st.Size()}
		}
	}
	changed := w.path != path || w.stamp != now
	before := w.changedAtLastCall
	w.path, w.stamp, w.changedAtLastCall = path, now, changed
	return path != "" && (changed || before)
}
