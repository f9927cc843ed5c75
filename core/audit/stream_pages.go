package audit

import (
	"context"
	"sync"
)

// pageWindow is how many messages are read at once.
const pageWindow = 64

// item is one message of the stream, or one line of the file; entry is nil where its sequence has no
// message.
type item struct {
	seq   uint64
	data  []byte
	entry *entry
	bad   bool
}

// page reads the stream backwards from its end, or from q.Before. An outcome
// always lies after its intent: one that was not met on the way is read by its
// subject.
func (s *stream) page(ctx context.Context, q Query) (Page, error) {
	info, err := s.api.StreamInfoUntil(ctx, Stream)
	if err != nil {
		return Page{}, unreadable(err)
	}
	next, first := info.State.LastSeq, max(info.State.FirstSeq, q.Since+1)
	if q.Before > 0 {
		next = min(next, q.Before-1)
	}
	outcomes := map[string]entry{}
	var p Page
	for next >= first && next > 0 {
		items, err := s.fetch(ctx, max(first, next-min(next, pageWindow)+1), next)
		if err != nil {
			return Page{}, err
		}
		for i := len(items) - 1; i >= 0; i-- {
			if !p.add(items[i], outcomes, q.Limit) {
				return p, s.addOutcomes(ctx, p.Records)
			}
		}
		next -= min(next, uint64(len(items)))
	}
	return p, s.addOutcomes(ctx, p.Records)
}

// add takes one message into the page; false where that is full.
func (p *Page) add(it item, outcomes map[string]entry, limit int) bool {
	switch {
	case it.bad:
		it.entry = &entry{Text: "this record cannot be read: it was cut short by a crash, is damaged, or of another version"}
	case it.entry == nil:
		return true
	case it.entry.Phase == phaseCheckpoint:
		return true
	case it.entry.Phase == phaseOutcome:
		outcomes[it.entry.ID] = *it.entry
		return true
	}
	if len(p.Records) == limit {
		p.Next = p.Records[limit-1].Seq
		return false
	}
	r := it.entry.record(it.seq)
	if o, ok := outcomes[r.ID]; ok {
		r.ended(o)
	} else if it.bad {
		r.Text = it.entry.Text
	}
	p.Records = append(p.Records, r)
	return true
}

// addOutcomes reads outcomes that lie after the page.
func (s *stream) addOutcomes(ctx context.Context, records []Record) error {
	return each(len(records), func(i int) error {
		r := &records[i]
		if r.Outcome != OutcomeUnknown || r.ID == "" {
			return nil
		}
		e, _, err := s.newest(ctx, r.Node, r.ID)
		if err == nil && e != nil && e.Phase == phaseOutcome {
			r.ended(*e)
		}
		return err
	})
}

// fetch reads the messages from one sequence to another, both included.
func (s *stream) fetch(ctx context.Context, from, to uint64) ([]item, error) {
	items := make([]item, to-from+1)
	err := each(len(items), func(i int) error {
		items[i].seq = from + uint64(i)
		m, found, err := s.api.Message(ctx, Stream, map[string]any{"seq": items[i].seq})
		switch {
		case err != nil:
			return unreadable(err)
		case !found:
			return nil
		}
		e, err := decodeEntry(m.Data)
		items[i].data, items[i].entry, items[i].bad = m.Data, &e, err != nil
		return nil
	})
	return items, err
}

// each calls f for 0 to n-1, a few at once, and returns the first error in their
// order.
func each(n int, f func(i int) error) error {
	var all sync.WaitGroup
	slots := make(chan struct{}, 16)
	errs := make([]error, n)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(i)
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
