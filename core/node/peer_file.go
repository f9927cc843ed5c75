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
	"unibus/core/migrate"
	"unibus/core/store/sqlite"
)

// A node asks one other node about its SQLite file. The digests of the rows come in pages
// to an inbox of the asking node, which acknowledges each page when it has used it. So both
// hold a page or two, and the file is read once, as of one moment for each table.
const (
	pageBytes      = 256 << 10        // of a page; a NATS message holds 1 MiB
	pageTimeout    = 60 * time.Second // until the next page: a large table is sorted first
	ackTimeout     = 60 * time.Second // until the asking node has used a page
	maxFileReaders = 2                // of one node's file at a time
)

// fileSubject is the subject on which one node answers a question about its file.
func fileSubject(node, what string) string { return "unibus.peer.v1.node." + node + "." + what }

const (
	questionRows     = "rows"     // rowsRequest → digestPage…
	questionProblems = "problems" // problemsRequest → problemsReply
)

type rowsRequest struct {
	Table core.Table `json:"table"`
	To    string     `json:"to"` // the inbox of the asking node
}

// digestPage has digests of rows of one table, in key order.
type digestPage struct {
	Rows  []rowDigest `json:"rows,omitempty"`
	End   bool        `json:"end,omitempty"`   // this is the last page
	Error *core.Error `json:"error,omitempty"` // why the table cannot be read further
}

type rowDigest struct {
	Key    string `json:"k"`
	SHA256 []byte `json:"s"`
}

type problemsRequest struct {
	Limit int `json:"limit"`
}

type problemsReply struct {
	Problems []core.Problem `json:"problems,omitempty"`
	Error    *core.Error    `json:"error,omitempty"`
}

// fileReader answers questions about the file of this node.
type fileReader struct {
	n     *Node
	slots chan struct{} // bounds the readers
}

func newFileReader(n *Node) fileReader {
	return fileReader{n, make(chan struct{}, maxFileReaders)}
}

// answers has an answer for each subject, for peers.slow.
func (f fileReader) answers() map[string]answerFunc {
	return map[string]answerFunc{
		fileSubject(f.n.cfg.Name, questionRows):     f.rows,
		fileSubject(f.n.cfg.Name, questionProblems): f.problems,
	}
}

// acquire returns the file for one question; release ends its use.
func (f fileReader) acquire() (file *sqlite.Store, release func(), err error) {
	if file = f.n.selector.file(); file == nil {
		return nil, nil, core.Errorf(core.KindNotFound, "%s has no SQLite file", f.n.cfg.Name)
	}
	select {
	case f.slots <- struct{}{}:
		return file, func() { <-f.slots }, nil
	default:
		return nil, nil, core.Errorf(core.KindUnavailable, "%d nodes read the SQLite file of %s already", maxFileReaders, f.n.cfg.Name).
			WithNext("try again in a minute")
	}
}

// rows sends a table in pages and returns the last one.
func (f fileReader) rows(ctx context.Context, body []byte) any {
	var q rowsRequest
	if err := json.Unmarshal(body, &q); err != nil || q.To == "" {
		return digestPage{End: true, Error: core.Errorf(core.KindInvalid, "this version of unibusd does not know this request")}
	}
	file, release, err := f.acquire()
	if err != nil {
		return digestPage{End: true, Error: core.AsError(err)}
	}
	defer release()
	last, err := splitIntoPages(file.Rows(ctx, q.Table), func(p digestPage) error { return f.send(ctx, q.To, p) })
	if err != nil {
		return nil // the asking node has gone
	}
	return last
}

// send sends one page and returns once it has been used.
func (f fileReader) send(ctx context.Context, to string, p digestPage) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	ack, err := f.n.peers.conn.RequestWithContext(ctx, to, body)
	if err == nil && len(ack.Data) > 0 {
		err = errNoMoreWanted
	}
	return err
}

// errNoMoreWanted says that the asking node needs no more pages.
var errNoMoreWanted = errors.New("no more pages are wanted")

// splitIntoPages hands full pages to send and returns the last one, which says how the
// rows ended. An error is that of send.
func splitIntoPages(rows iter.Seq2[core.Row, error], send func(digestPage) error) (digestPage, error) {
	var p digestPage
	size := 0
	for r, err := range rows {
		if err != nil {
			p.Error = core.AsError(err)
			break
		}
		sum := sha256.Sum256(r.Value)
		p.Rows = append(p.Rows, rowDigest{r.Key, sum[:]})
		if size += len(r.Key) + 2*sha256.Size; size < pageBytes {
			continue
		}
		if err := send(p); err != nil {
			return digestPage{}, err
		}
		p, size = digestPage{Rows: p.Rows[:0]}, 0
	}
	p.End = true
	return p, nil
}

// problems lists the rows that cannot be converted.
func (f fileReader) problems(ctx context.Context, body []byte) any {
	var q problemsRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return problemsReply{Error: core.Errorf(core.KindInvalid, "this version of unibusd does not know this request")}
	}
	file, release, err := f.acquire()
	if err != nil {
		return problemsReply{Error: core.AsError(err)}
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	found, err := file.Problems(ctx, max(1, min(q.Limit, 1000)))
	return problemsReply{Problems: found, Error: core.AsError(err)}
}

// peerRows reads the digests of a table of another node's file.
func (n *Node) peerRows(ctx context.Context, node string, t core.Table) iter.Seq2[migrate.RowDigest, error] {
	return func(yield func(migrate.RowDigest, error) bool) {
		if err := n.peers.readRows(ctx, node, t, func(r migrate.RowDigest) bool { return yield(r, nil) }); err != nil {
			yield(migrate.RowDigest{}, err)
		}
	}
}

// readRows calls each with every row until it returns false, or an error comes.
func (p *peers) readRows(ctx context.Context, node string, t core.Table, each func(migrate.RowDigest) bool) error {
	inbox, replies := p.conn.NewInbox(), make(chan *nats.Msg, 4) // one page is under way, and perhaps a refusal
	sub, err := p.conn.ChanSubscribe(inbox, replies)
	if err != nil {
		return core.Errorf(core.KindUnavailable, "cannot ask %s about its SQLite file: %w", node, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only where the connection is gone
	body, err := json.Marshal(rowsRequest{Table: t, To: inbox})
	if err == nil {
		err = p.conn.PublishRequest(fileSubject(node, questionRows), inbox, body)
	}
	if err != nil {
		return core.Errorf(core.KindUnavailable, "cannot ask %s about its SQLite file: %w", node, err)
	}
	for {
		m, err := nextPage(ctx, node, replies)
		if err != nil {
			return err
		}
		more, err := usePage(node, m, each)
		if err != nil || !more {
			return err
		}
	}
}

// nextPage waits for the next page.
func nextPage(ctx context.Context, node string, replies <-chan *nats.Msg) (*nats.Msg, error) {
	limit := time.NewTimer(pageTimeout)
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
	return nil, errSilent(node)
}

func errSilent(node string) error {
	return core.Errorf(core.KindUnavailable, "%s does not answer about its SQLite file", node).
		WithNext("check that %s is up and runs the same version", node)
}

// usePage calls each with the rows of one page and acknowledges the page. more is false at the end.
func usePage(node string, m *nats.Msg, each func(migrate.RowDigest) bool) (more bool, err error) {
	var p digestPage
	if err := json.Unmarshal(m.Data, &p); err != nil {
		return false, core.Errorf(core.KindFailed, "the answer of %s about its SQLite file cannot be read: %w", node, err).
			WithNext("bring every node to the same version")
	}
	for _, r := range p.Rows {
		row := migrate.RowDigest{Key: r.Key}
		copy(row.SHA256[:], r.SHA256)
		if !each(row) {
			_ = m.Respond([]byte("enough")) // without it the other node gives up by itself
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
		return false, core.Errorf(core.KindUnavailable, "cannot ask %s for the next page: %w", node, err)
	}
	return true, nil
}

// peerProblems asks another node which rows of its file cannot be converted.
func (n *Node) peerProblems(ctx context.Context, node string, limit int) ([]core.Problem, error) {
	body, err := json.Marshal(problemsRequest{limit})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	m, err := n.peers.conn.RequestWithContext(ctx, fileSubject(node, questionProblems), body)
	if err != nil {
		return nil, errSilent(node)
	}
	var a problemsReply
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return nil, core.Errorf(core.KindFailed, "the answer of %s about its SQLite file cannot be read: %w", node, err)
	}
	if a.Error != nil {
		return nil, a.Error
	}
	return a.Problems, nil
}
