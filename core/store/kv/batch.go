package kv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"unibus/core"
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

// commit writes messages in atomic batches of at most limit bytes, one after
// the other, and returns how many messages were acknowledged. A batch is
// written whole or not at all.
func (w *wire) commit(ctx context.Context, bucket string, messages []message, limit int) (done int, err error) {
	for _, m := range messages {
		if err := w.check(bucket, m); err != nil {
			return 0, err
		}
	}
	for done < len(messages) {
		if err := ctx.Err(); err != nil {
			return done, fault(err, "writing in "+bucket)
		}
		n, size := 0, 0
		for done+n < len(messages) && n < batchMessages {
			m := messages[done+n]
			size += len(m.key) + len(m.value)
			if n > 0 && size > limit {
				break
			}
			n++
		}
		if err := w.batch(ctx, bucket, messages[done:done+n], size); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// batch sends one atomic batch. All but the last message are sent without a
// reply subject: what is wrong with them is the answer to the last one.
func (w *wire) batch(ctx context.Context, bucket string, messages []message, size int) error {
	if w.closed.Load() {
		return core.Errorf(core.KindUnavailable, "the replicated store is closed on this node")
	}
	// A second more for each MiB: a batch has to cross the network several times.
	ctx, cancel := context.WithTimeout(ctx, w.timeout+time.Duration(size>>20)*time.Second)
	defer cancel()
	if len(messages) == 1 {
		_, err := w.put(ctx, bucket, messages[0])
		return err
	}
	doing := fmt.Sprintf("writing %d keys in %s, the first %s", len(messages), bucket, messages[0].key)
	id := token()
	for i, m := range messages {
		msg := m.encode(bucket)
		msg.Header.Set(hdrBatchID, id)
		msg.Header.Set(hdrBatchSeq, strconv.Itoa(i+1))
		if i < len(messages)-1 {
			if err := w.nc.PublishMsg(msg); err != nil {
				return fault(err, doing)
			}
			continue
		}
		msg.Header.Set(hdrBatchCommit, "1")
		reply, err := w.nc.RequestMsgWithContext(ctx, msg)
		if err != nil {
			return unknownOutcome(err, doing)
		}
		if err := decodeAnswer(reply, nil); err != nil {
			return fault(err, doing)
		}
	}
	return nil
}
