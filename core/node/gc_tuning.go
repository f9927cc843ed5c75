package node

import (
	"runtime/debug"
	"sync"
)

// migrationGOGC is GOGC while a migration runs. Otherwise its garbage, pages that are
// read once, would let the heap grow to twice what the server needs to hold the rows.
// At 40 it took a tenth of the copy's processor time, at 80 half of that. The peak of
// the whole migration stays below that of the nodes that only hold the rows. While a
// million rows were copied it was 174 MiB above what they had by then.
const migrationGOGC = 80

// gcTuner trades processor time for memory while a migration runs.
type gcTuner struct {
	mu      sync.Mutex
	running int // migrations
	before  int // GOGC before the first
}

// migrationRuns is called when the work of a migration begins and ends.
func (t *gcTuner) migrationRuns(begins bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if begins {
		if t.running++; t.running > 1 {
			return
		}
		t.before = debug.SetGCPercent(migrationGOGC)
		if t.before >= 0 && t.before < migrationGOGC { // the operator chose a lower value
			debug.SetGCPercent(t.before)
		}
		return
	}
	if t.running--; t.running == 0 {
		debug.SetGCPercent(t.before)
		debug.FreeOSMemory()
	}
}
