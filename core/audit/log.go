package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/jsapi"
)

// Config is what a Log needs.
type Config struct {
	Conn     *nats.Conn // in the account that has JetStream; nil: a node alone, the file is the audit
	Replicas int        // of the stream
	Node     string
	File     string        // the node's own file, made 0600 where it is needed
	Timeout  time.Duration // of one write; 0: 1.2 s
	Now      func() core.Millis
	Logger   *slog.Logger          // nil: none
	Records  bool                  // the logger gets each record, too
	Key      func() (Signer, bool) // the cluster's; false while it is not known; nil: nothing is signed

	// LastSeq is that of the node's own replica of the stream, false without one. nil: not known.
	LastSeq func() (uint64, bool)
}

// Log writes and reads the audit. It is safe for use by several goroutines.
type Log struct {
	cfg    Config
	log    *slog.Logger
	file   file
	stream *stream // nil on a node alone
	follow *follower

	ready chan struct{} // closed once the stream is as it should be
	mu    sync.Mutex
	bad   error // why the stream can never be used

	end        context.CancelFunc
	background sync.WaitGroup
}

const (
	defaultTimeout = 1200 * time.Millisecond
	outcomeTimeout = 700 * time.Millisecond // an answer waits for it; a late outcome goes to the file
	addEvery       = 2 * time.Second
	addTimeout     = 5 * time.Second
	retryEvery     = 100 * time.Millisecond
)

// New makes a Log; nothing is read or sent before Open.
func New(cfg Config) *Log {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	l := &Log{cfg: cfg, log: cfg.Logger, file: file{path: cfg.File}, ready: make(chan struct{})}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Conn != nil {
		l.stream = &stream{api: jsapi.Client{Conn: cfg.Conn}, replicas: cfg.Replicas, keep: l.written, turn: make(chan struct{}, 1), copyTurn: make(chan struct{}, 1)}
		l.follow = newFollower(l)
		l.file.limit = copyLimit
	}
	return l
}

// Open looks at the file, and in a cluster begins to create the stream, to copy it to
// the file, and to add the file's own entries to it. It does not wait for a quorum. KindRefused for a file
// that is not the node's own.
func (l *Log) Open(context.Context) error {
	if err := l.file.open(); err != nil {
		return err
	}
	if l.stream == nil {
		return nil
	}
	ctx, end := context.WithCancel(context.Background())
	l.end = end
	l.background.Go(func() {
		if l.prepareStream(ctx) {
			l.addPendingUntil(ctx)
		}
	})
	l.background.Go(func() { l.follow.run(ctx) })
	return nil
}

// Close ends the work in the background, and waits for the records that are being written.
// Twice is harmless.
func (l *Log) Close() error {
	if l.end != nil {
		l.end()
	}
	l.background.Wait()
	if l.stream != nil {
		l.stream.awaitTurn()
	}
	l.file.mu.Lock()
	defer l.file.mu.Unlock()
	return l.file.release()
}

// prepareStream makes the stream what it should be, for as long as that takes.
func (l *Log) prepareStream(ctx context.Context) bool {
	said := time.Now()
	for {
		err := l.stream.ensure(ctx)
		if err == nil {
			close(l.ready)
			return true
		}
		if core.KindOf(err) == core.KindRefused {
			l.log.Error("the audit cannot be kept, and actions that need it are refused", "error", err)
			l.mu.Lock()
			l.bad = err
			l.mu.Unlock()
			return false
		}
		if time.Since(said) > 30*time.Second && ctx.Err() == nil {
			said = time.Now()
			l.log.Warn("the audit is not ready yet", "error", err)
		}
		if !jsapi.Sleep(ctx, retryEvery) {
			return false
		}
	}
}

// awaitReady waits until the stream is ready.
func (l *Log) awaitReady(ctx context.Context) error {
	select {
	case <-l.ready:
		return nil
	default:
	}
	l.mu.Lock()
	bad := l.bad
	l.mu.Unlock()
	if bad != nil {
		return bad
	}
	select {
	case <-l.ready:
		return nil
	case <-ctx.Done():
		return core.Errorf(core.KindUnavailable, "the audit is not ready yet")
	}
}

// Begin records an intent. With an error the action must not happen:
// KindUnavailable where the record could not be written (KindRefused where it
// never can).
func (l *Log) Begin(ctx context.Context, in Intent) (Action, error) {
	a := Action{ID: newID(), at: l.cfg.Now()}
	e := entry{
		V: entryVersion, ID: a.ID, Phase: phaseIntent, At: a.at, Node: l.cfg.Node,
		Key: in.By.Key, Name: in.By.Name, Role: in.By.Role, Verb: in.Verb, Args: cut(in.Args),
	}
	if l.stream == nil {
		a.local = true
		if err := l.writeFile(e); err != nil {
			return a, refused(err)
		}
		return a, nil
	}
	done, err := l.write(ctx, l.cfg.Timeout, e, 0)
	if err == nil {
		a.seq = done.seq
		l.awaitCopy(ctx, done)
		return a, nil
	}
	if in.Restores {
		if ferr := l.writeFile(e); ferr != nil {
			return a, refused(errors.Join(err, ferr))
		}
		a.local = true
		l.log.Warn("an action goes on without the cluster's audit: it is in the node's own file", "verb", in.Verb, "by", in.By.Name, "file", l.cfg.File)
		return a, nil
	}
	// The record may have been written all the same: record later that nothing was done.
	no := l.outcome(a, refused(err))
	if ferr := l.writeFile(e, no); ferr != nil {
		l.log.Error("a refused action is not in the audit", "verb", in.Verb, "by", in.By.Name, "error", ferr)
	}
	return a, refused(err)
}

func refused(err error) error {
	kind := core.KindUnavailable
	if core.KindOf(err) == core.KindRefused {
		kind = core.KindRefused
	}
	return core.Errorf(kind, "nothing was done: it could not be recorded in the audit first, and without that nothing is changed (%w)", err).WithOutcome(core.OutcomeNone).
		WithNext("run it again; the audit needs a majority of the nodes: `unibus-tui status` shows which answer")
}

// End records how an action ended; nil is ok. An outcome that the stream does not
// take is kept in the file and added later.
func (l *Log) End(ctx context.Context, a Action, result error) {
	e := l.outcome(a, result)
	if l.stream != nil && !a.local {
		_, err := l.write(context.WithoutCancel(ctx), outcomeTimeout, e, a.seq)
		if err == nil {
			return
		}
		l.log.Warn("an action's outcome will be added to the audit later", "id", a.ID, "error", err)
	}
	if err := l.writeFile(e); err != nil {
		l.log.Error("an action's outcome is not in the audit", "id", a.ID, "outcome", e.Kind, "error", err)
	}
}

func (l *Log) outcome(a Action, result error) entry {
	now := l.cfg.Now()
	e := entry{V: entryVersion, ID: a.ID, Phase: phaseOutcome, At: now, Node: l.cfg.Node, Kind: OutcomeOK, TookMS: max(0, int64(now-a.at))}
	if result != nil {
		e.Kind, e.Text, e.Effect = string(core.KindOf(result)), cut(result.Error()), core.OutcomeOf(result)
	}
	return e
}

func (l *Log) write(ctx context.Context, timeout time.Duration, e entry, after uint64) (stored, error) {
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := l.awaitReady(wait); err != nil {
		return stored{}, err
	}
	return l.stream.append(ctx, timeout, l.cfg.Node, e, after)
}

// written puts records that the stream took into the node's copy, unless records before
// them have to be copied first: those of other nodes.
func (l *Log) written(records []stored) {
	var lines []copied
	prev := ""
	for _, done := range records {
		e, err := decodeEntry(done.data)
		if err != nil {
			l.log.Error(notCopied, "file", l.cfg.File, "error", err)
			return
		}
		l.tell(done.seq, e)
		lines, prev = append(lines, copied{Seq: done.seq, Record: done.data}), cmp.Or(prev, e.Prev)
	}
	if k := l.file.state(); len(lines) == 0 || prev != k.end.hash {
		l.follow.notify()
	} else if ok, err := l.file.addCopied(k.created, lines...); err != nil {
		l.log.Error(notCopied, "file", l.cfg.File, "error", err)
	} else if !ok || l.file.state().signatureDue(l.cfg.Now()) {
		l.follow.notify()
	}
}

const notCopied = "a record of the audit is not in the node's own copy"

// copyTimeout is how long an action waits for the node's own copy of its intent. The
// stream has the intent by then: a full disk, or a copy that is far behind after a start,
// must not keep an operator from revoking a user.
const copyTimeout = 2 * time.Second

// awaitCopy waits until the node's copy has a record. The follower copies what is missing
// before it.
func (l *Log) awaitCopy(ctx context.Context, done stored) {
	ctx, cancel := context.WithTimeout(ctx, copyTimeout)
	defer cancel()
	for {
		grown := l.file.growth()
		if grown == nil || l.file.state().end.seq >= done.seq {
			return // what failed was logged where it failed
		}
		l.follow.notify()
		select {
		case <-grown:
		case <-ctx.Done():
			l.log.Error(notCopied, "file", l.cfg.File, "seq", done.seq, "error", ctx.Err())
			return
		}
	}
}

// writeFile puts entries into the node's own file.
func (l *Log) writeFile(entries ...entry) error {
	written, err := l.file.append(entries...)
	if err != nil {
		return err
	}
	for _, e := range written {
		l.tell(0, e)
	}
	if l.stream != nil {
		return nil
	}
	if err := l.signFile(); err != nil {
		l.log.Warn("the audit cannot be signed", "error", err)
	}
	return nil
}

// tell writes a record to the log where that is wanted, so that a log that is shipped
// elsewhere is a second copy.
func (l *Log) tell(seq uint64, e entry) {
	if !l.cfg.Records {
		return
	}
	e.V, e.Node = 0, "" // the logger has the node
	fields := map[string]any{}
	numbers := json.NewDecoder(bytes.NewReader(e.encode()))
	numbers.UseNumber()
	if err := numbers.Decode(&fields); err != nil {
		l.log.Error("a record of the audit cannot be logged", "id", e.ID, "error", err)
		return
	}
	delete(fields, "v")
	delete(fields, "node")
	if seq > 0 {
		fields["seq"] = seq
	}
	var attrs []slog.Attr
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		attrs = append(attrs, slog.Any(name, fields[name]))
	}
	l.log.LogAttrs(context.Background(), slog.LevelInfo, "audit", attrs...)
}

func newID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails: it ends the program instead
	return hex.EncodeToString(b[:])
}

// Page reads the audit, newest first. KindUnavailable where the stream has no
// leader.
func (l *Log) Page(ctx context.Context, q Query) (Page, error) {
	q.Limit = max(1, q.Limit)
	if l.stream == nil {
		return l.file.page(q)
	}
	wait, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	_ = l.awaitReady(wait) // a stream that takes no records may still be read
	return l.stream.page(ctx, q)
}

// addPendingUntil adds the file's own entries to the stream, until ctx ends.
func (l *Log) addPendingUntil(ctx context.Context) {
	for {
		if pending := l.file.state().pending; len(pending) > 0 {
			if err := l.addPending(ctx, pending); err != nil && ctx.Err() == nil {
				l.log.Warn("the node's own audit file is not yet in the stream", "file", l.cfg.File, "error", err)
			}
		}
		if !jsapi.Sleep(ctx, core.UntilTick(addEvery)) {
			return
		}
	}
}

func (l *Log) addPending(ctx context.Context, pending []entry) error {
	for _, e := range pending {
		if err := l.addEntry(ctx, e); err != nil {
			return err
		}
		l.file.added(e)
	}
	l.log.Info("the entries of the node's own audit file are in the cluster's audit now", "entries", len(pending), "file", l.cfg.File)
	return nil
}

// addEntry adds one entry, or finds that it is there.
func (l *Log) addEntry(ctx context.Context, e entry) error {
	ctx, cancel := context.WithTimeout(ctx, addTimeout)
	defer cancel()
	e.Late = true
	last, at, err := l.stream.newest(ctx, l.cfg.Node, e.ID)
	if err != nil {
		return err
	}
	if last != nil && (last.Phase == e.Phase || e.Phase == phaseIntent) {
		return nil
	}
	_, err = l.stream.append(ctx, addTimeout, l.cfg.Node, e, at.seq)
	return err
}
