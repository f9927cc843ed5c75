package feed_test

import (
	"context"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/feed"
)

// newAuditSource serves records from newest to oldest, a page at a time.
func newAuditSource(newest *uint64) *fakeSource {
	return &fakeSource{
		status:  func() (admin.Status, error) { return admin.Status{}, nil },
		history: func(admin.HistoryRequest) (admin.History, error) { return admin.History{}, nil },
		users:   func(core.UserPageRequest) (core.UserPage, error) { return core.UserPage{}, nil },
		audit: func(r admin.AuditRequest) (admin.Audit, error) {
			out := admin.Audit{Node: "n1"}
			seq := *newest
			if r.Before > 0 {
				seq = min(seq, r.Before-1)
			}
			for ; seq > 0; seq-- {
				if len(out.Records) == r.Limit {
					out.Next = out.Records[len(out.Records)-1].Seq
					break
				}
				out.Records = append(out.Records, admin.AuditRecord{Seq: seq})
			}
			return out, nil
		},
	}
}

// pollAudit polls once after scrolling to before, and checks that no record is
// missing or duplicated.
func pollAudit(t *testing.T, f *feed.Feed, before uint64, want int) feed.AuditLog {
	t.Helper()
	f.Subscribe(feed.Subscription{Audit: true, AuditBefore: before})
	log := f.PollOnce(context.Background()).Audit.Value
	if len(log.Records) != want {
		t.Fatalf("%d records, want %d", len(log.Records), want)
	}
	for i := 1; i < len(log.Records); i++ {
		if log.Records[i].Seq != log.Records[i-1].Seq-1 {
			t.Fatalf("record %d follows %d", log.Records[i].Seq, log.Records[i-1].Seq)
		}
	}
	return log
}

func TestAuditGrowsAtBothEnds(t *testing.T) {
	t.Parallel()
	newest := uint64(250)
	f := newFastFeed(newAuditSource(&newest))
	log := pollAudit(t, f, 0, 100)
	older := pollAudit(t, f, log.Next, 200)
	newest += 7
	again := pollAudit(t, f, log.Next, 207) // this page was read already
	if again.Next != older.Next {
		t.Errorf("Next is %d, want %d", again.Next, older.Next)
	}
	if last := pollAudit(t, f, again.Next, 257); last.Next != 0 {
		t.Errorf("Next is %d at the end of the audit", last.Next)
	}
	newest = 150 // renumbered: the records read before are other ones
	pollAudit(t, f, 0, 100)
	newest += 500 // more than a page: the records in between are missing
	if log := pollAudit(t, f, 0, 100); log.Next == 0 {
		t.Error("there is a gap and nothing older")
	}
	newest = 0
	pollAudit(t, f, 0, 0)
}

func TestSubscribingAgainPollsAtOnce(t *testing.T) {
	t.Parallel()
	newest := uint64(250)
	f := feed.New(feed.Config{Client: newAuditSource(&newest), ListInterval: time.Hour, AuditInterval: time.Hour})
	want := feed.Subscription{Rollout: true, Audit: true}
	f.Subscribe(want)
	seen := uint64(0) // the first subscription alone may be polled twice
	runUntil(t, f, "an answer to every look", func(s *feed.Snapshot) bool {
		if n := min(s.Rollout.Answers, s.Audit.Answers); n > seen && seen < 4 {
			seen = n
			f.Subscribe(feed.Subscription{})
			f.Subscribe(want)
		}
		return seen >= 4
	})
}

func TestOlderRecordsAreFetchedAtOnce(t *testing.T) {
	t.Parallel()
	newest := uint64(450)
	f := feed.New(feed.Config{Client: newAuditSource(&newest), AuditInterval: time.Hour})
	f.Subscribe(feed.Subscription{Audit: true})
	runUntil(t, f, "all records", func(s *feed.Snapshot) bool {
		log := s.Audit.Value
		if log.Next != 0 {
			f.Subscribe(feed.Subscription{Audit: true, AuditBefore: log.Next})
		}
		return len(log.Records) == 450
	})
}

func TestAuditIsBounded(t *testing.T) {
	t.Parallel()
	newest := uint64(feed.MaxAudit + 500)
	f := newFastFeed(newAuditSource(&newest))
	log := pollAudit(t, f, 0, 100)
	for len(log.Records) < feed.MaxAudit {
		log = pollAudit(t, f, log.Next, len(log.Records)+100)
	}
	pollAudit(t, f, log.Next, feed.MaxAudit)
	newest += 50
	if log = pollAudit(t, f, 0, feed.MaxAudit); log.Next != log.Records[feed.MaxAudit-1].Seq {
		t.Errorf("Next is %d", log.Next)
	}
}
