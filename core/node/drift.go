package node

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/core/store/sqlite"
)

// What a node asks one other about its SQLite file. The rows come in pages to an
// inbox of the asker, who acknowledges each when it has used it: both sides hold
// a page or two, and the file is read once, as of one moment for each table.
const (
	pageBytes     = 256 << 10        // of a page; NATS carries 1 MiB
	pageWithin    = 60 * time.Second // until the next page: a large table is sorted first
	ackWithin     = 60 * time.Second // until the asker has used a page
	readersOfFile = 2                // scans at a time of one node's file
)

// subjectOf is where a node, named, answers for its file.
func subjectOf(node, what string) string { return "unibus.peer.v1.node." + node + "." + what }

const (
	aboutRows     = "rows"     // rowsRequest → sumPage…
	aboutProblems = "problems" // problemsRequest → problemsReply
)

type rowsRequest struct {
	Table core.Table `json:"table"`
	To    string     `json:"to"` // the asker's inbox
}

// sumPage is one piece of a table, in key order.
type sumPage struct {
	Rows  []sumRow    `json:"rows,omitempty"`
	End   bool        `json:"end,omitempty"`   // the table is over, or cannot be read further
	Error *core.Error `json:"error,omitempty"` // why it cannot
}

type sumRow struct {
	Key string `json:"k"`
	Sum []byte `json:"s"`
}

type problemsRequest struct {
	Limit int `json:"limit"`
}

type problemsReply struct {
	Problems []core.Problem `json:"problems,omitempty"`
	Error    *core.Error    `json:"error,omitempty"`
}

// fileReader answers for the file of this node.
type fileReader struct {
	n     *Node
	slots chan struct{}
}

func newFileReader(n *Node) fileReader {
	return fileReader{n, make(chan struct{}, readersOfFile)}
}

// answers are the questions by subject, for peers.slow.
func (f fileReader) answers() map[string]func(context.Context, []byte) any {
	return map[string]func(context.Context, []byte) any{
		subjectOf(f.n.cfg.Name, aboutRows):     f.rows,
		subjectOf(f.n.cfg.Name, aboutProblems): f.problems,
	}
}

// take opens the file for one question; free gives the place back.
func (f fileReader) take() (db *sqlite.Store, free func(), err error) {
	if db = f.n.selector.file(); db == nil {
		return nil, nil, core.Errorf(core.KindNotFound, "%s has no SQLite file", f.n.cfg.Name)
	}
	select {
	case f.slots <- struct{}{}:
		return db, func() { <-f.slots }, nil
	default:
		return nil, nil, core.Errorf(core.KindUnavailable, "the SQLite file of %s is being read by others", f.n.cfg.Name).
			WithNext("wait until that is over")
	}
}

// rows sends a table in pages and returns the last one.
func (f fileReader) rows(ctx context.Context, body []byte) any {
	var q rowsRequest
	if err := json.Unmarshal(body, &q); err != nil || q.To == "" {
		return sumPage{End: true, Error: core.Errorf(core.KindInvalid, "the question is not one that this version understands")}
	}
	db, free, err := f.take()
	if err != nil {
		return sumPage{End: true, Error: core.AsError(err)}
	}
	defer free()
	last, err := pages(db.Rows(ctx, q.Table), func(p sumPage) error { return f.send(ctx, q.To, p) })
	if err != nil {
		return nil // the asker is gone
	}
	return last
}

// send hands over one page and returns once it has been used.
func (f fileReader) send(ctx context.Context, to string, p sumPage) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ackWithin)
	defer cancel()
	ack, err := f.n.peers.conn.RequestWithContext(ctx, to, body)
	if err == nil && len(ack.Data) > 0 {
		err = errEnough
	}
	return err
}

// errEnough: the asker wants no more.
var errEnough = errors.New("enough")

// pages hands full pages to send and returns the last one, which says how the
// rows ended. An error is that of send.
func pages(rows iter.Seq2[core.Row, error], send func(sumPage) error) (sumPage, error) {
	var p sumPage
	size := 0
	for r, err := range rows {
		if err != nil {
			p.Error = core.AsError(err)
			break
		}
		sum := sha256.Sum256(r.Value)
		p.Rows = append(p.Rows, sumRow{r.Key, sum[:]})
		if size += len(r.Key) + 2*sha256.Size; size < pageBytes {
			continue
		}
		if err := send(p); err != nil {
			return sumPage{}, err
		}
		p, size = sumPage{Rows: p.Rows[:0]}, 0
	}
	p.End = true
	return p, nil
}

// problems lists the rows that cannot be converted.
func (f fileReader) problems(ctx context.Context, body []byte) any {
	var q problemsRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return problemsReply{Error: core.Errorf(core.KindInvalid, "the question is not one that this version understands")}
	}
	db, free, err := f.take()
	if err != nil {
		return problemsReply{Error: core.AsError(err)}
	}
	defer free()
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	found, err := db.Problems(ctx, max(1, min(q.Limit, 1000)))
	return problemsReply{Problems: found, Error: core.AsError(err)}
}

// peerRows reads a table of another node's file.
func (n *Node) peerRows(ctx context.Context, node string, t core.Table) iter.Seq2[migrate.RowDigest, error] {
	return func(yield func(migrate.RowDigest, error) bool) {
		if err := n.peers.read(ctx, node, t, func(r migrate.RowDigest) bool { return yield(r, nil) }); err != nil {
			yield(migrate.RowDigest{}, err)
		}
	}
}

// read hands each row to each, until it returns false. An error came before or
// between rows, and each returned true so far.
func (p *peers) read(ctx context.Context, node string, t core.Table, each func(migrate.RowDigest) bool) error {
	inbox, replies := p.conn.NewInbox(), make(chan *nats.Msg, 4) // one page is under way, besides that a refusal
	sub, err := p.conn.ChanSubscribe(inbox, replies)
	if err != nil {
		return core.Errorf(core.KindUnavailable, "%s cannot be asked: %w", node, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only where the connection is gone
	body, err := json.Marshal(rowsRequest{Table: t, To: inbox})
	if err == nil {
		err = p.conn.PublishRequest(subjectOf(node, aboutRows), inbox, body)
	}
	if err != nil {
		return core.Errorf(core.KindUnavailable, "%s cannot be asked: %w", node, err)
	}
	for {
		m, err := next(ctx, node, replies)
		if err != nil {
			return err
		}
		more, err := use(node, m, each)
		if err != nil || !more {
			return err
		}
	}
}

// next is the next page, or why none comes.
func next(ctx context.Context, node string, replies <-chan *nats.Msg) (*nats.Msg, error) {
	limit := time.NewTimer(pageWithin)
	defer limit.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-limit.C:
	case m := <-replies:
		if len(m.Data) > 0 || m.Header.Get("Status") != "503" {
			return m, nil
		}
	}
	return nil, silent(node)
}

func silent(node string) error {
	return core.Errorf(core.KindUnavailable, "%s does not answer for its SQLite file", node).
		WithNext("see that %s is up and runs the same version", node)
}

// use hands on the rows of one page and lets the next one come; more is false at the end.
func use(node string, m *nats.Msg, each func(migrate.RowDigest) bool) (more bool, err error) {
	var p sumPage
	if err := json.Unmarshal(m.Data, &p); err != nil {
		return false, core.Errorf(core.KindFailed, "what %s says of its SQLite file cannot be understood: %w", node, err).
			WithNext("bring every node to the same version")
	}
	for _, r := range p.Rows {
		row := migrate.RowDigest{Key: r.Key}
		copy(row.SHA256[:], r.Sum)
		if !each(row) {
			_ = m.Respond([]byte("enough")) // unheard, the other side gives up by itself
			return false, nil
		}
	}
	if p.Error != nil {
		return false, p.Error
	}
	if p.End {
		return false, nil
	}
	if err := m.Respond(nil); err != nil {
		return false, core.Errorf(core.KindUnavailable, "%s cannot be asked further: %w", node, err)
	}
	return true, nil
}

// peerProblems asks another node which rows of its file cannot be converted.
func (n *Node) peerProblems(ctx context.Context, node string, limit int) ([]core.Problem, error) {
	body, err := json.Marshal(problemsRequest{limit})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	m, err := n.peers.conn.RequestWithContext(ctx, subjectOf(node, aboutProblems), body)
	if err != nil {
		return nil, silent(node)
	}
	var a problemsReply
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return nil, core.Errorf(core.KindFailed, "what %s says of its SQLite file cannot be understood: %w", node, err)
	}
	if a.Error != nil {
		return nil, a.Error
	}
	return a.Problems, nil
}

// obstacles are what is wrong with the groups that a move writes to.
func obstacles(v cluster.View, now time.Time) []core.Problem {
	var out []core.Problem
	for _, f := range cluster.Obstacles(v, now) {
		out = append(out, core.Problem{Text: f.Text, Next: f.Next})
	}
	return out
}

// room is how many bytes a node can take: what is free on its disk, and of what JetStream may use.
func room(node cluster.Node) *int64 {
	if node.Info == nil || node.Info.DiskFree == nil {
		return nil
	}
	free := *node.Info.DiskFree
	if node.DiskMax > 0 {
		free = min(free, max(0, node.DiskMax-node.Disk))
	}
	return &free
}
