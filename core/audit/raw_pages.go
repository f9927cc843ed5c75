package audit

import (
	"context"

	"unibus/core"
)

// RawPage is a part of the audit as it is stored, oldest first.
type RawPage struct {
	Records []RawRecord `json:"records"`
	Next    uint64      `json:"next,omitempty"` // the From of the next page, 0 at the end
	File    bool        `json:"file,omitempty"` // these are lines of the file of a node alone
}

// RawRecord is a record with the bytes that are part of the chain.
type RawRecord struct {
	Seq  uint64 `json:"seq"`
	Data []byte `json:"data"`
}

const (
	rawRecords = 4 * pageWindow // a page has at most this many records
	rawBytes   = 256 << 10      // and ends after this many bytes
)

// RawPage reads from a sequence on; 0 is the beginning. KindUnavailable where the stream
// has no leader.
func (l *Log) RawPage(ctx context.Context, from uint64) (RawPage, error) {
	from = max(1, from)
	if l.stream == nil {
		return l.file.rawPage(from)
	}
	wait, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	_ = l.awaitReady(wait) // a stream that takes no records may still be read
	return l.stream.rawPage(ctx, from)
}

func (s *stream) rawPage(ctx context.Context, from uint64) (RawPage, error) {
	info, err := s.api.StreamInfoUntil(ctx, Stream)
	if err != nil {
		return RawPage{}, unreadable(err)
	}
	p := RawPage{Records: []RawRecord{}}
	last, size := info.State.LastSeq, 0
	from = max(from, info.State.FirstSeq)
	for from <= last && len(p.Records) < rawRecords && size < rawBytes {
		items, err := s.fetch(ctx, from, min(last, from+pageWindow-1))
		if err != nil {
			return RawPage{}, err
		}
		for _, it := range items {
			if it.entry != nil {
				p.Records = append(p.Records, RawRecord{Seq: it.seq, Data: it.data})
				size += len(it.data)
			}
		}
		from += uint64(len(items))
	}
	if from <= last {
		p.Next = from
	}
	return p, nil
}

// rawPage returns whole lines. Each line that unibus writes is shorter than rawBytes.
func (f *file) rawPage(from uint64) (RawPage, error) {
	p := RawPage{Records: []RawRecord{}, File: true}
	size := f.length()
	if int64(from-1) >= size {
		return p, nil
	}
	end := min(size, int64(from-1)+rawBytes)
	lines, next, err := f.lines(int64(from-1), end)
	if err != nil {
		return RawPage{}, err
	}
	for _, l := range lines {
		p.Records = append(p.Records, RawRecord{Seq: l.at, Data: l.text})
	}
	switch {
	case next > int64(from-1) && next < size:
		p.Next = uint64(next) + 1
	case next <= int64(from-1) && end < size:
		return RawPage{}, core.Errorf(core.KindFailed, "the audit's file %s is damaged at byte %d: no record is as long as that line, and the rest was not read", f.path, from-1).
			WithNext("compare the file with a copy of it, such as one in a backup of the data directory")
	}
	return p, nil
}
