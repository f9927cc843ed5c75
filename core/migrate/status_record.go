package migrate

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"unibus/core"
)

// recordTimeout bounds one write of the status record, and the last one at Close.
const recordTimeout = 2 * time.Second

// recorder writes the newest status to the cluster record in a goroutine of its
// own, at most once per interval. A record that cannot be written delays nothing:
// the journal and the status in memory are authoritative.
type recorder struct {
	record StatusRecord
	every  time.Duration
	status func() Status

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
	once sync.Once

	rev   uint64 // of the record as last read
	known bool
}

func startRecorder(record StatusRecord, every time.Duration, status func() Status) *recorder {
	r := &recorder{
		record: record, every: every, status: status,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go r.run()
	return r
}

// schedule has the present status written soon.
func (r *recorder) schedule() {
	if r == nil {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// close writes what is still scheduled, once, and ends the goroutine.
func (r *recorder) close() {
	r.once.Do(func() { close(r.quit) })
	<-r.done
}

func (r *recorder) run() {
	defer close(r.done)
	for {
		select {
		case <-r.quit:
			r.flush()
			return
		case <-r.wake:
		}
		if r.write() != nil {
			r.schedule()
		}
		if !r.waitInterval() {
			r.flush()
			return
		}
	}
}

// waitInterval waits for the interval; false if the recorder has to end.
func (r *recorder) waitInterval() bool {
	t := time.NewTimer(r.every)
	defer t.Stop()
	select {
	case <-r.quit:
		return false
	case <-t.C:
		return true
	}
}

func (r *recorder) flush() {
	select {
	case <-r.wake:
		_ = r.write() // the journal has it, and the next Open records it again
	default:
	}
}

func (r *recorder) write() error {
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	if !r.known {
		have, rev, err := r.record.Migration(ctx)
		if err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
		if supersededByOtherNode(have, r.status()) {
			return nil
		}
		r.rev, r.known = rev, true
	}
	data, err := json.Marshal(r.status())
	if err != nil {
		return err
	}
	rev, err := r.record.PutMigration(ctx, data, r.rev)
	if err != nil {
		r.known = false // conflict or unknown outcome: the revision must be read again
		return err
	}
	r.rev = rev
	return nil
}

// supersededByOtherNode is true if another node has recorded a later migration;
// this one must not overwrite it.
func supersededByOtherNode(have []byte, own Status) bool {
	var st Status
	return json.Unmarshal(have, &st) == nil && st.Node != own.Node && st.Updated > own.Updated
}

// readRecord decodes the cluster record; StateNone if there is none.
func readRecord(ctx context.Context, record StatusRecord) (Status, error) {
	data, _, err := record.Migration(ctx)
	if core.KindOf(err) == core.KindNotFound || err == nil && len(data) == 0 {
		return Status{State: StateNone}, nil
	}
	if err != nil {
		return Status{State: StateNone}, err
	}
	var st Status
	if err := json.Unmarshal(data, &st); err != nil {
		return Status{State: StateNone}, core.Errorf(core.KindFailed, "the record of the last migration cannot be read: %w", err)
	}
	return st, nil
}
