package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

const (
	followEvery = time.Second      // the other nodes' records are in the copy after this time
	shrunkAfter = 30 * time.Second // a leader that was just elected may not have counted all records yet
)

// follower copies the stream to the node's file.
type follower struct {
	l       *Log
	wake    chan struct{} // a buffer of one
	missing bool          // the stream is not there, which was logged
	shrunk  time.Time     // since when the stream has fewer records than the copy; zero: it has not
	replica jsapi.LocalReplica
	heard   heardRecords
}

func newFollower(l *Log) *follower {
	return &follower{l: l, wake: make(chan struct{}, 1), replica: jsapi.LocalReplica{LastSeq: l.cfg.LastSeq}}
}

// notify says that the stream has a new record.
func (f *follower) notify() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run copies until ctx ends.
func (f *follower) run(ctx context.Context) {
	said := time.Now()
	stop := f.listen()
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-timer.C:
			if !f.replica.AskDue() && !f.l.file.state().signatureDue(f.l.cfg.Now()) {
				timer.Reset(core.UntilTick(followEvery))
				continue
			}
		}
		err := f.copyNew(ctx)
		f.replica.Answered(err == nil && !f.missing)
		if err != nil && time.Since(said) > shrunkAfter && ctx.Err() == nil {
			said = time.Now()
			f.l.log.Warn("the node's own copy of the audit is not up to date", "file", f.l.cfg.File, "error", err)
		}
		timer.Reset(core.UntilTick(followEvery))
	}
}

// listen keeps the records that nodes send to the stream. Without it each is read from there.
func (f *follower) listen() (stop func()) {
	sub, err := f.l.stream.api.Conn.Subscribe(Subjects, func(m *nats.Msg) { f.heard.add(m.Data) })
	if err != nil {
		return func() {}
	}
	return func() { _ = sub.Unsubscribe() } // fails only on a closed connection, where it is gone anyway
}

// copyNew copies the records after the last one of the copy, and signs the newest where
// that is due.
func (f *follower) copyNew(ctx context.Context) error {
	info, err := f.l.stream.api.StreamInfo(ctx, Stream, 2*jsapi.Attempt)
	if jsapi.Answered(err, jsapi.CodeStreamNotFound) {
		f.sayMissing()
		return nil
	}
	if err != nil {
		return err
	}
	f.missing = false
	if err := f.begin(info); err != nil {
		return err
	}
	if lost, err := f.compareEnd(info); lost || err != nil {
		return err
	}
	for from := f.l.file.state().end.seq + 1; from <= info.State.LastSeq; from += pageWindow {
		if err := f.copyWindow(ctx, info, from, min(info.State.LastSeq, from+pageWindow-1)); err != nil {
			return err
		}
	}
	return f.l.signNewest(ctx)
}

// sayMissing logs once that a stream is gone which the copy has records of.
func (f *follower) sayMissing() {
	k := f.l.file.state()
	if k.created == "" || f.missing {
		return
	}
	f.missing = true
	f.l.stream.forget()
	f.l.log.Error("the stream of the audit was deleted; this node's own copy remains", "file", f.l.cfg.File, "records", k.end.seq)
}

// begin notes which stream is copied.
func (f *follower) begin(info jsapi.StreamInfo) error {
	k := f.l.file.state()
	if k.created == info.Created {
		return nil
	}
	f.l.stream.forget()
	mark := copied{Mark: markStream, Created: info.Created, At: f.l.cfg.Now(), Text: "the copy begins"}
	if k.created != "" {
		mark.Text = fmt.Sprintf("the stream that was created at %s was deleted and created anew; its records to %d are above", k.created, k.end.seq)
		f.l.log.Error("the stream of the audit was deleted and created anew; this node's own copy has the records before", "file", f.l.cfg.File, "records", k.end.seq)
	}
	_, err := f.l.file.addCopied(info.Created, mark)
	return err
}

// compareEnd notes records of the copy that the stream has lost; lost is true until
// that is certain.
func (f *follower) compareEnd(info jsapi.StreamInfo) (lost bool, err error) {
	end := f.l.file.state().end.seq
	switch {
	case info.State.LastSeq >= end:
		f.shrunk = time.Time{}
		return false, nil
	case f.shrunk.IsZero():
		f.shrunk = time.Now()
	}
	if time.Since(f.shrunk) < shrunkAfter {
		return true, nil
	}
	f.shrunk = time.Time{}
	return false, f.gap(info, info.State.LastSeq, fmt.Sprintf("the stream has lost the records %d to %d, which are above", info.State.LastSeq+1, end))
}

func (f *follower) gap(info jsapi.StreamInfo, before uint64, text string) error {
	f.l.log.Error("the stream of the audit is not whole", "file", f.l.cfg.File, "reason", text)
	_, err := f.l.file.addCopied(info.Created, copied{Mark: markGap, Seq: before, At: f.l.cfg.Now(), Text: text})
	return err
}

// copyWindow copies records from one sequence to another. Those that are missing are
// noted once a later one is there.
func (f *follower) copyWindow(ctx context.Context, info jsapi.StreamInfo, from, to uint64) error {
	items, err := f.read(ctx, from, to)
	if err != nil {
		return err
	}
	next := f.l.file.state().end.seq + 1
	var lines []copied
	for _, it := range items {
		if it.entry == nil {
			continue
		}
		if it.seq > next {
			text := fmt.Sprintf("the records %d to %d are missing in the stream", next, it.seq-1)
			f.l.log.Error("the stream of the audit is not whole", "file", f.l.cfg.File, "reason", text)
			lines = append(lines, copied{Mark: markGap, Seq: it.seq - 1, At: f.l.cfg.Now(), Text: text})
		}
		lines = append(lines, copied{Seq: it.seq, Record: it.data})
		next = it.seq + 1
	}
	_, err = f.l.file.addCopied(info.Created, lines...)
	return err
}
