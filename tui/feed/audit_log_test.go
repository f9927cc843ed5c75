package feed_test

import (
	"context"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/tui/feed"
)

// auditor serves records from newest to oldest, a page at a time.
func auditor(newest *uint64) *source {
	return &source{
		status: func() (admin.Status, error) { return admin.Status{}, nil },
		events: func(admin.EventsRequest) (admin.Events, error) { return admin.Events{Events: []cluster.Event{}}, nil },
		users:  func() ([]core.User, error) { return nil, nil },
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

// read asks once, having come to before, and checks that no record is missing or twice.
func read(t *testing.T, f *feed.Feed, before uint64, want int) feed.AuditLog {
	t.Helper()
	f.Look(feed.Want{Audit: true, AuditBefore: before})
	log := f.Once(context.Background()).Audit.Value
	if len(log.Records) != want {
		t.Fatalf("%d records, want %d", len(log.Records), want)
	}
	for i := 1; i < len(log.Records); i++ {
		if log.Records[i].Seq != log.Records[i-1].Seq-1 {
			t.Fatalf("record %d comes behind %d", log.Records[i].Seq, log.Records[i-1].Seq)
		}
	}
	return log
}

func TestAuditGrowsAtBothEnds(t *testing.T) {
	t.Parallel()
	newest := uint64(250)
	f := quick(auditor(&newest))
	log := read(t, f, 0, 100)
	older := read(t, f, log.Next, 200)
	newest += 7
	again := read(t, f, log.Next, 207) // that one was read already
	if again.Next != older.Next {
		t.Errorf("older ones begin at %d, want %d", again.Next, older.Next)
	}
	if last := read(t, f, again.Next, 257); last.Next != 0 {
		t.Errorf("older ones begin at %d though there are none", last.Next)
	}
	newest = 150 // counted anew: what was read before is not what lies behind
	read(t, f, 0, 100)
	newest += 500 // more than a page: what lies between was not read
	if log := read(t, f, 0, 100); log.Next == 0 {
		t.Error("there is a gap and nothing older")
	}
	newest = 0
	read(t, f, 0, 0)
}

func TestWhoLooksAgainIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	newest := uint64(250)
	f := feed.New(feed.Config{Source: auditor(&newest), Lists: time.Hour, Audit: time.Hour})
	want := feed.Want{Rollout: true, Audit: true}
	f.Look(want)
	seen := uint64(0) // the first look alone may be answered twice
	until(t, f, "an answer to every look", func(s *feed.Snapshot) bool {
		if n := min(s.Rollout.N, s.Audit.N); n > seen && seen < 4 {
			seen = n
			f.Look(feed.Want{})
			f.Look(want)
		}
		return seen >= 4
	})
}

func TestOlderRecordsAreFetchedAtOnce(t *testing.T) {
	t.Parallel()
	newest := uint64(450)
	f := feed.New(feed.Config{Source: auditor(&newest), Audit: time.Hour})
	f.Look(feed.Want{Audit: true})
	until(t, f, "all records", func(s *feed.Snapshot) bool {
		log := s.Audit.Value
		if log.Next != 0 {
			f.Look(feed.Want{Audit: true, AuditBefore: log.Next})
		}
		return len(log.Records) == 450
	})
}

func TestAuditIsBounded(t *testing.T) {
	t.Parallel()
	newest := uint64(feed.MaxAudit + 500)
	f := quick(auditor(&newest))
	log := read(t, f, 0, 100)
	for len(log.Records) < feed.MaxAudit {
		log = read(t, f, log.Next, len(log.Records)+100)
	}
	read(t, f, log.Next, feed.MaxAudit)
	newest += 50
	if log = read(t, f, 0, feed.MaxAudit); log.Next != log.Records[feed.MaxAudit-1].Seq {
		t.Errorf("older ones begin at %d", log.Next)
	}
}
