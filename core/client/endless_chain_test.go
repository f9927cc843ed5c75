package client

import (
	"testing"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// TestEndlessChain: a node hands out statements without end. The client should give up
// at the first page that does not follow, and not collect them all first.
func TestEndlessChain(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	pages := 0
	junk := make([][]byte, 1000)
	for i := range junk {
		junk[i] = make([]byte, 323)
	}
	p.liar.lie(func(l *lyingAPI) {
		l.founding = func() (control.Statements, error) {
			pages++
			if pages == 200 {
				return control.Statements{}, core.Errorf(core.KindRefused, "enough")
			}
			return control.Statements{Statements: junk, Head: control.ChainHead{MembershipHead: seal.MembershipHead{Seq: 1 << 62}}}, nil
		}
	})
	_ = p.bobs.fetchStatements(ctx(t))
	p.liar.lie(func(*lyingAPI) {
		if pages > 2 {
			t.Errorf("%d pages of 323 KB each, none of which follows, were read and kept in memory", pages)
		}
	})
	p.liar.lie(func(*lyingAPI) { pages = 0 })
	fresh := &Room{c: p.bob, id: p.room.ID()}
	_, _ = fresh.chainFrom(ctx(t), roomState{}, 0)
	p.liar.lie(func(*lyingAPI) {
		if pages > 2 {
			t.Errorf("%d pages were read by a joiner", pages)
		}
	})
	head, _ := p.bobs.members.head()
	known := must[[][]byte](t)(p.room.statementsFrom(ctx(t), 0))
	p.liar.lie(func(l *lyingAPI) { // what is known, again and again
		pages = 0
		l.founding = func() (control.Statements, error) {
			pages++
			return control.Statements{Statements: known, Head: control.ChainHead{MembershipHead: seal.MembershipHead{Seq: 1 << 62}}}, nil
		}
	})
	want(t, "what is known again", p.bobs.fetchStatements(ctx(t)), core.KindRefused, seal.ErrGap)
	if now, _ := p.bobs.members.head(); now != head || pages > 2 {
		t.Errorf("%d pages, at %+v", pages, now)
	}
}

// TestEndlessRecords: a node names an epoch that is far away, and records without end.
func TestEndlessRecords(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	pages := 0
	p.liar.lie(func(l *lyingAPI) {
		l.room = func(r *control.RoomInfo) { r.Room.Epoch = 1 << 62 }
		l.epochs = func(e *control.Epochs) {
			pages++
			next, first := core.Epoch(1<<62-1000*pages), e.Records[0]
			e.Records, e.Next = make([]core.EpochRecord, 1000), &next
			for i := range e.Records {
				e.Records[i] = first
				e.Records[i].Epoch = next + core.Epoch(1000-i)
			}
			if pages == 200 {
				e.Next = nil
			}
		}
	})
	p.caught(t, seal.ErrGap)
	p.liar.lie(func(*lyingAPI) {
		if pages > 100 {
			t.Errorf("%d pages were read", pages)
		}
	})
}
