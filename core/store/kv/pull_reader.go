package kv

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

const (
	// Two requests are with the server, so that it does not wait for the next one.
	pullMessages = 2000
	// A request brings at most one message of the largest size and this much.
	pullReserve = 64 << 10
	// maxPulls is how many requests all scans together have under way: at a MiB
	// each they must stay well below what the server lets wait for one connection.
	// The server serves those of one scan in turns, so that for a moment there may
	// be one or two more that are partly used.
	maxPulls = 20

	// pullPoll is how often a reader that gets nothing looks whether it should go on.
	pullPoll = 50 * time.Millisecond

	// scanPatience is how many times the limit of an operation a reader of a whole
	// table may wait without data. Five tables of three replicas are read at once, and
	// use all of the machines' capacity.
	scanPatience = 5

	// quietBudget is for a bucket to stand still, where a scan ends at one revision.
	quietBudget = 10 * time.Second
)

// pullReader reads one consumer by pull requests.
type pullReader struct {
	client    *bucketClient
	sub       *nats.Subscription
	info      string // where the consumer is described
	next      string // where requests go
	request   []byte
	slots     chan struct{} // where each request under way holds one; nil: they are not counted
	heldSlots int           // of slots
	quiet     time.Duration // how long nothing may come
	asked     int           // messages that requests may still bring
	left      uint64        // messages that come after the last one, as the consumer counts them
	counted   uint64        // messages, as the consumer counts them
}

// pull drains a consumer up to the point where nothing is pending and the target
// has been passed.
func (bc *bucketClient) pull(ctx context.Context, s scan, consumer string, targetSeq uint64, quiet time.Duration, each func(entry) error) error {
	p, err := bc.newPullReader(s, consumer)
	if err != nil {
		return err
	}
	defer p.close()
	p.slots, p.quiet = bc.pullSlots, quiet
	return p.drain(ctx, s, targetSeq, each)
}

func (bc *bucketClient) newPullReader(s scan, consumer string) (*pullReader, error) {
	request, err := json.Marshal(map[string]any{"batch": pullMessages, "max_bytes": bc.api.Conn.MaxPayload() + pullReserve, "expires": bc.timeout})
	if err != nil {
		return nil, err
	}
	sub, err := bc.api.Conn.SubscribeSync(nats.NewInbox())
	if err != nil {
		return nil, err
	}
	name := streamOf(s.bucket) + "." + consumer
	return &pullReader{client: bc, sub: sub, info: "CONSUMER.INFO." + name, next: jsapi.Prefix + "CONSUMER.MSG.NEXT." + name, request: request, quiet: bc.timeout}, nil
}

func (p *pullReader) close() {
	_ = p.sub.Unsubscribe() // fails where the connection is gone, and the subscription with it
	p.asked = 0
	p.releaseSlots()
}

// drain reads on where the last one ended.
func (p *pullReader) drain(ctx context.Context, s scan, targetSeq uint64, each func(entry) error) error {
	end := scanEnd{client: p.client, s: s, targetSeq: targetSeq}
	for {
		msg, at, err := p.message(ctx)
		if err != nil {
			return err
		}
		e := entry{key: keyOf(s.bucket, msg.Subject), value: msg.Data, rev: at.rev, deleted: isDeleted(msg.Header)}
		if err := each(e); err != nil {
			return err
		}
		if at.pending > 0 && (e.rev < end.targetSeq || !p.drained(ctx)) {
			continue
		}
		if over, err := end.reached(ctx, e.rev); over || err != nil {
			return err
		}
	}
}

// drained is true where nothing is left, whatever the last message said. After its
// node was killed, a consumer was seen to count messages as pending that do not
// exist. Asked for its state, it counts again.
func (p *pullReader) drained(ctx context.Context) bool {
	if queued, _, err := p.sub.Pending(); err != nil || queued > 0 {
		return false
	}
	var info struct {
		Pending   int `json:"num_pending"`
		Delivered struct {
			Count uint64 `json:"consumer_seq"`
		} `json:"delivered"`
	}
	err := p.client.api.Request(ctx, p.info, nil, &info)
	return err == nil && info.Pending == 0 && info.Delivered.Count == p.counted
}

// message is the next one of the consumer. A message lost on the way is an error,
// never a gap.
func (p *pullReader) message(ctx context.Context) (*nats.Msg, delivery, error) {
	for begun := (time.Time{}); ; {
		if err := p.ask(ctx); err != nil {
			return nil, delivery{}, err
		}
		if begun.IsZero() { // after the wait for a slot
			begun = time.Now()
		}
		msg, err := p.await(ctx)
		if err != nil {
			return nil, delivery{}, err
		}
		if status := msg.Header.Get("Status"); status != "" {
			if err := pullStatus(status, msg); err != nil {
				return nil, delivery{}, err
			}
			p.asked -= unserved(msg)
			p.releaseSlots()
			if time.Since(begun) > 2*p.quiet { // requests end, and bring nothing
				return nil, delivery{}, context.DeadlineExceeded
			}
			continue
		}
		p.asked--
		p.releaseSlots()
		p.counted++
		at, ok := parseDelivery(msg.Reply)
		p.left = at.pending
		if !ok || at.count != p.counted {
			return nil, delivery{}, core.Errorf(core.KindUnavailable, "a message of %s was lost on the way", msg.Subject).WithNext("try again")
		}
		return msg, at, nil
	}
}

// ask sends requests until two are under way, or one where no more is left.
func (p *pullReader) ask(ctx context.Context) error {
	for p.asked <= 0 || p.asked <= pullMessages && p.left > uint64(p.asked) {
		if ok, err := p.takeSlot(ctx); !ok || err != nil {
			return err
		}
		if err := p.client.api.Conn.PublishRequest(p.next, p.sub.Subject, p.request); err != nil {
			return err
		}
		p.asked = max(p.asked, 0) + pullMessages
	}
	return nil
}

// takeSlot takes the right to one request more. It waits only where none is under
// way: a reader that holds two never waits for a third, so all come to their end.
func (p *pullReader) takeSlot(ctx context.Context) (ok bool, err error) {
	if p.slots == nil || ctx.Err() != nil {
		return true, ctx.Err()
	}
	select {
	case p.slots <- struct{}{}:
	default:
		if p.asked > 0 {
			return false, nil
		}
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	p.heldSlots++
	return true, nil
}

// releaseSlots gives back the slots of requests that have ended.
func (p *pullReader) releaseSlots() {
	for p.heldSlots > 0 && (p.heldSlots-1)*pullMessages >= p.asked {
		<-p.slots
		p.heldSlots--
	}
}

// await waits for any message, as long as none may come. A timer and a context for
// each message would cost more than the message.
func (p *pullReader) await(ctx context.Context) (*nats.Msg, error) {
	for quiet := time.Duration(0); quiet < p.quiet; quiet += pullPoll {
		msg, err := p.sub.NextMsg(pullPoll)
		if !errors.Is(err, nats.ErrTimeout) {
			return msg, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return nil, context.DeadlineExceeded
}

// pullStatus is nil where a pull request has merely ended and another may follow.
func pullStatus(status string, msg *nats.Msg) error {
	switch text := msg.Header.Get("Description"); {
	case status == "408", status == "404":
		return nil
	case status == "409" && (text == "Message Size Exceeds MaxBytes" || text == "Batch Completed"):
		return nil
	default:
		return &jsapi.Error{Code: 503, Description: text}
	}
}

// unserved is how many messages a request that has ended did not bring.
func unserved(msg *nats.Msg) int {
	n, err := strconv.Atoi(msg.Header.Get("Nats-Pending-Messages"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// delivery is the position of a message in its stream and consumer.
type delivery struct {
	rev     uint64 // its sequence in the stream
	count   uint64 // how many the consumer has sent with this one
	pending uint64 // how many are left
}

// parseDelivery reads the reply subject of a message, which ends with: how often
// it was sent, stream sequence, consumer sequence, time, pending. A newer form has
// two tokens more before them. The client library's own parser does much more, and
// costs accordingly.
func parseDelivery(reply string) (d delivery, ok bool) {
	const short, long = 9, 11 // more may follow the long one
	n := strings.Count(reply, ".") + 1
	if !strings.HasPrefix(reply, "$JS.ACK.") || n != short && n < long {
		return delivery{}, false
	}
	skip := 5 // to the rev
	if n >= long {
		skip = 7 // after domain and account
	}
	for range skip {
		_, reply, _ = strings.Cut(reply, ".")
	}
	var errs [3]error
	var text [4]string
	for i := range text {
		text[i], reply, _ = strings.Cut(reply, ".")
	}
	d.rev, errs[0] = strconv.ParseUint(text[0], 10, 64)
	d.count, errs[1] = strconv.ParseUint(text[1], 10, 64)
	d.pending, errs[2] = strconv.ParseUint(text[3], 10, 64)
	return d, errors.Join(errs[:]...) == nil
}

// scanEnd decides when a scan has everything.
type scanEnd struct {
	client    *bucketClient
	s         scan
	targetSeq uint64
	since     time.Time // when targetSeq was reached first
}

// reached is called if the consumer says that nothing is left after rev. The
// consumer's count may lag behind its store. If a scan shall end at one revision,
// reached asks the leader, whose own store is read: if its last revision is rev,
// the reader has seen everything.
func (n *scanEnd) reached(ctx context.Context, rev uint64) (bool, error) {
	if rev < n.targetSeq || !n.s.exact {
		return rev >= n.targetSeq, nil
	}
	if n.since.IsZero() {
		n.since = time.Now()
	}
	info, err := n.client.bucketInfo(ctx, n.s.bucket)
	switch {
	case err != nil:
		return false, err
	case info.Leader() != n.s.node || info.State.LastSeq < rev:
		return false, core.Errorf(core.KindUnavailable, "%s got another leader while it was read", n.s.bucket).WithNext("try again")
	case info.State.LastSeq == rev:
		if n.s.messages != nil {
			*n.s.messages = info.State.Messages
		}
		return true, nil
	case time.Since(n.since) > quietBudget:
		return false, core.Errorf(core.KindUnavailable, "%s is written so much that no revision of it could be read", n.s.bucket).
			WithNext("try again when less is written")
	}
	n.targetSeq = info.State.LastSeq
	return false, nil
}
