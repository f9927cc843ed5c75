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

// recorder writes the newest status to the cluster's record from a goroutine of
// its own, at most once per interval, so that a record which cannot be written
// holds nothing up. The local status and the journal are the truth.
type recorder struct {
	record StatusRecord
	every  time.Duration
	status func() Status

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
	once sync.Once

	rev   uint64 // of the record as last seen
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

// close writes what is still to be written, once, and ends the goroutine.
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

// waitInterval waits for the interval; false where the recorder is to end.
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
		_ = r.write() // the journal has it; the record is written again after the next Open
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
		r.known = false // conflict or unknown outcome: read the revision again
		return err
	}
	r.rev = rev
	return nil
}

// supersededByOtherNode is true where another node wrote a move since: what this node
// did before that is of no interest any more.
func supersededByOtherNode(have []byte, own Status) bool {
	var st Status
	return json.Unmarshal(have, &st) == nil && st.Node != own.Node && st.Updated > own.Updated
}

// readRecord decodes the cluster's record; StateNone where there is none.
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
		return Status{State: StateNone}, core.Errorf(core.KindFailed, "the record of the last move cannot be read: %w", err)
	}
	return st, nil
}
