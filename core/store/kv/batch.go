package kv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

// Limits of one atomic batch. The count is the server's default.
const (
	batchMessages = 1000
	batchBytes    = 4 << 20
	rekeyBytes    = 512 << 10
)

// token is 16 random hex digits.
func token() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

// commit writes rows in atomic batches of at most limit bytes, one after the
// other, waits until this node's watch has them, and returns how many messages
// were acknowledged. A batch is written whole or not at all.
func (s *Store) commit(ctx context.Context, t core.Table, messages []message, limit int, may permit) (done int, err error) {
	if len(messages) == 0 {
		return 0, nil
	}
	done, rev, err := s.commitOnly(ctx, t, messages, limit, may)
	if err != nil {
		return done, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return done, s.awaitOwnWrite(ctx, s.buckets[t], rev, messages)
}

// commitOnly is commit without the wait for the watch. The rows of a migration are
// compared with what replicas hold, never with what this node's watch has seen.
func (s *Store) commitOnly(ctx context.Context, t core.Table, messages []message, limit int, may permit) (done int, rev uint64, err error) {
	if len(messages) == 0 {
		return 0, 0, nil
	}
	wb, err := s.readyBucket(ctx, t)
	if err != nil {
		return 0, 0, err
	}
	for _, m := range messages {
		if err := s.check(wb.bucket, m); err != nil {
			return 0, 0, err
		}
	}
	for done < len(messages) {
		if err := ctx.Err(); err != nil {
			return done, 0, explain(err, "writing in "+wb.bucket)
		}
		n, size := nextBatch(messages[done:], limit)
		rev, err = s.writeBatch(ctx, wb, messages[done:done+n], size, may)
		if err != nil {
			return done, 0, err
		}
		done += n
	}
	return done, rev, nil
}

// writeBatch gives a batch one second more for each MiB: it has to cross the
// network several times.
func (s *Store) writeBatch(ctx context.Context, wb *watchedBucket, messages []message, size int, may permit) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout+time.Duration(size>>20)*time.Second)
	defer cancel()
	return s.writeOnly(ctx, wb, messages, may)
}

// nextBatch returns how many of the messages make one batch, and their bytes.
func nextBatch(messages []message, limit int) (n, size int) {
	for n < len(messages) && n < batchMessages {
		m := messages[n]
		size += len(m.key) + len(m.value)
		if n > 0 && size > limit {
			break
		}
		n++
	}
	return n, size
}

// sendBatch sends one atomic batch and returns the revision of its last message.
// All others are sent without a reply subject: the answer to the last one reports
// what is wrong with them.
func (bc *bucketClient) sendBatch(ctx context.Context, bucket string, messages []message) (rev uint64, err error) {
	if bc.closed.Load() {
		return 0, errClosed()
	}
	if len(messages) == 1 {
		return bc.put(ctx, bucket, messages[0])
	}
	doing := fmt.Sprintf("writing %d keys in %s, the first %s", len(messages), bucket, messages[0].key)
	b, last := newBatch(bucket), len(messages)-1
	for i, m := range messages[:last] {
		if err := bc.api.Conn.PublishMsg(b.encode(m, i+1)); err != nil {
			return 0, explain(err, doing)
		}
	}
	msg := b.encode(messages[last], last+1)
	msg.Header.Set(hdrBatchCommit, "1")
	reply, err := bc.api.Conn.RequestMsgWithContext(ctx, msg)
	if err != nil {
		return 0, unknownOutcome(err, doing)
	}
	rev, err = jsapi.Acknowledged(reply)
	return rev, explain(err, doing)
}

// batch makes the messages of one atomic batch. Messages with a key and a value
// alone, which are nearly all, share one nats.Msg: the connection has copied it
// when it returns, and a header of its own would cost more than the sending.
type batch struct {
	bucket string
	id     [1]string
	seq    [1]string
	plain  nats.Msg
}

func newBatch(bucket string) *batch {
	b := &batch{bucket: bucket, id: [1]string{token()}}
	b.plain.Header = nats.Header{hdrBatchID: b.id[:], hdrBatchSeq: b.seq[:]}
	return b
}

// encode returns a message as the n-th of the batch, counted from 1. It is valid
// until the next one is encoded.
func (b *batch) encode(m message, n int) *nats.Msg {
	b.seq[0] = strconv.Itoa(n)
	if m.isPlain() {
		b.plain.Subject, b.plain.Data = subjectOf(b.bucket, m.key), m.value
		return &b.plain
	}
	msg := m.encode(b.bucket)
	msg.Header[hdrBatchID], msg.Header[hdrBatchSeq] = b.id[:], b.seq[:]
	return msg
}

// isPlain is true where a message is encoded without a header.
func (m message) isPlain() bool {
	return !m.remove && m.expect == nil && m.guard == nil && m.header[0] == ""
}
