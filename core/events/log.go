package events

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/jsapi"
)

// Config is what a Log needs.
type Config struct {
	Conn     *nats.Conn // in the account that has JetStream; nil: a node alone, which keeps events in memory
	Replicas int        // of the stream
	Node     string
	Now      func() core.Millis
	Story    *slog.Logger                                    // gets each change of the verdict, and each incident's beginning and end; nil: Logger
	Logger   *slog.Logger                                    // nil: none
	Tell     func(cluster.VerdictChange, []cluster.Incident) // gets each change of the verdict once in the cluster, with the open incidents; nil: none. It must not wait
}

// Log makes incidents of a node's observations, writes them where it is this node's turn, and
// shows the history. It is safe for use by several goroutines.
type Log struct {
	cfg    Config
	log    *slog.Logger
	story  *slog.Logger
	memory memory

	inbox inbox
	ready atomic.Bool // the stream is as it should be

	w writer // of the goroutine that run starts

	end        context.CancelFunc
	background sync.WaitGroup
}

// inbox is what the observer left for the Log.
type inbox struct {
	mu    sync.Mutex
	last  cluster.Observation
	wake  chan struct{} // a buffer of one
	count int           // of lines that were dropped
}

const (
	maxInbox            = 2000
	retryEvery          = 200 * time.Millisecond
	notReadyLogInterval = time.Minute
	electionTimeout     = 15 * time.Second // an election takes no longer
)

// New makes a Log; nothing is read or sent before Open.
func New(cfg Config) *Log {
	l := &Log{cfg: cfg, log: cfg.Logger}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.story = cfg.Story; l.story == nil {
		l.story = l.log
	}
	if l.cfg.Tell == nil {
		l.cfg.Tell = func(cluster.VerdictChange, []cluster.Incident) {}
	}
	l.inbox.wake = make(chan struct{}, 1)
	l.w = writer{l: l, run: newID(), pending: newPending(), written: map[string]writtenState{}, titles: map[string]string{}}
	if cfg.Conn != nil {
		l.w.stream = &stream{api: jsapi.Client{Conn: cfg.Conn}, replicas: cfg.Replicas}
		l.memory.set(nil, 0, fmt.Sprintf("%s has not read the history yet: only what it has seen itself is shown.", cfg.Node))
	}
	return l
}

// Open begins to create the stream, and to write and follow it. It waits for nothing.
func (l *Log) Open(context.Context) error {
	ctx, end := context.WithCancel(context.Background())
	l.end = end
	if l.w.stream != nil {
		l.background.Go(func() { l.prepareStream(ctx) })
	}
	l.background.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-l.inbox.wake:
				l.w.observe(ctx, l.inbox.take())
			}
		}
	})
	return nil
}

// Close ends the work in the background. Twice is harmless.
func (l *Log) Close() error {
	if l.end != nil {
		l.end()
	}
	l.background.Wait()
	return nil
}

// Observe hands an observation over; it does not wait. Lines are kept until they are taken.
func (l *Log) Observe(o cluster.Observation) {
	l.inbox.mu.Lock()
	o.Events = append(l.inbox.last.Events, o.Events...)
	if over := len(o.Events) - maxInbox; over > 0 {
		l.inbox.count += over
		o.Events = o.Events[over:]
	}
	l.inbox.last = o
	l.inbox.mu.Unlock()
	select {
	case l.inbox.wake <- struct{}{}:
	default:
	}
}

// Missed says that so many lines were lost before they could be handed over.
func (l *Log) Missed(lines int) {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	l.inbox.count += lines
}

// inboxContent is what was in the inbox.
type inboxContent struct {
	cluster.Observation
	dropped int
}

func (b *inbox) take() inboxContent {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := inboxContent{b.last, b.count}
	b.last.Events, b.count = nil, 0
	return c
}

// Page returns a part of the history, as far as this node knows it.
func (l *Log) Page(q Query) Page {
	p := l.memory.page(q)
	p.Node = l.cfg.Node
	return p
}

// LinesBefore are the newest lines of before a moment, oldest first. Their Seq is 0.
func (l *Log) LinesBefore(at core.Millis, limit int) []cluster.Event {
	return l.memory.linesBefore(at, limit)
}

// OpenIncidents is how many incidents this node sees that are not over.
func (l *Log) OpenIncidents() int {
	l.memory.mu.Lock()
	defer l.memory.mu.Unlock()
	return l.memory.open
}

// prepareStream makes the stream what it should be, for as long as that takes.
func (l *Log) prepareStream(ctx context.Context) {
	said := time.Now()
	for {
		err := l.w.stream.ensure(ctx)
		switch {
		case err == nil:
			l.ready.Store(true)
			return
		case core.KindOf(err) == core.KindRefused:
			l.log.Error("events cannot be kept, and are in each node's memory alone", "error", err)
			return
		case time.Since(said) > notReadyLogInterval && ctx.Err() == nil:
			said = time.Now()
			l.log.Warn("the stream of events is not ready yet", "error", err)
		}
		if !jsapi.Sleep(ctx, retryEvery) {
			return
		}
	}
}
