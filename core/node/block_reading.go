package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/blockfile"
	"unibus/core/cluster"
	"unibus/core/doctor"
)

// A server answers from memory while it has a block there, and sees no damage on the disk. So
// each node reads its own blocks beside its server: all of them once a day, and those of a
// table when the doctor asks.

const (
	questionBlocks = "blocks" // blocksRequest → blocksReply

	firstBlockReading = 10 * time.Minute // after the start, which reads the blocks as well
	blockReadingEvery = 24 * time.Hour
	blockTimeout      = 2 * time.Minute // of one stream: a gigabyte from a slow disk
)

type blocksRequest struct {
	Table core.Table `json:"table"`
}

type blocksReply struct {
	Records int            `json:"records"`
	Damaged []doctor.Fault `json:"damaged,omitempty"`
	More    int            `json:"more,omitempty"`
	Missing int            `json:"missing,omitempty"` // of Damaged: blocks
	Error   *core.Error    `json:"error,omitempty"`
}

// blockReadings are what this node found in its blocks last, by bucket.
type blockReadings struct {
	background
	turn sync.Mutex // held while a stream is read: one at a time

	mu      sync.Mutex
	damaged map[string]cluster.DamagedBlocks

	missing map[string][]blockfile.Gap // of each stream, found since the start; turn
}

// found returns what is damaged, in the order of the buckets.
func (r *blockReadings) found() []cluster.DamagedBlocks {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []cluster.DamagedBlocks
	for _, bucket := range slices.Sorted(maps.Keys(r.damaged)) {
		out = append(out, r.damaged[bucket])
	}
	return out
}

func (r *blockReadings) note(d cluster.DamagedBlocks) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.damaged == nil {
		r.damaged = map[string]cluster.DamagedBlocks{}
	}
	if delete(r.damaged, d.Bucket); d.Records+d.Missing > 0 {
		r.damaged[d.Bucket] = d
	}
}

func (n *Node) openBlockReading(context.Context) error {
	if !n.cfg.Clustered() {
		return nil // a file of SQLite is no block
	}
	ctx := n.blocks.start()
	n.blocks.run(func() {
		sleep(ctx, firstBlockReading)
		for ctx.Err() == nil {
			for _, bucket := range n.storedStreams() {
				if _, err := n.readBlocks(ctx, bucket); err != nil && ctx.Err() == nil {
					n.log.Warn("the blocks of a bucket could not be read from the disk", "bucket", bucket, "error", err)
				}
			}
			sleep(ctx, blockReadingEvery)
		}
	})
	return nil
}

func (n *Node) closeBlockReading(context.Context) error {
	n.blocks.stop()
	return nil
}

// readBlocks reads the blocks of one bucket, and notes what is damaged or missing.
func (n *Node) readBlocks(ctx context.Context, bucket string) (blockfile.Report, error) {
	n.blocks.turn.Lock()
	defer n.blocks.turn.Unlock()
	dir, stream := streamPath(n.bus.StreamDir(), bucket), streamOf(bucket)
	state, known := n.bus.Stream(stream) // before the blocks are read: they hold at least that
	found, err := blockfile.Read(ctx, dir, stream)
	if err != nil {
		return found, err
	}
	note := cluster.DamagedBlocks{Bucket: bucket, Records: found.Count(), At: core.MillisOf(time.Now())}
	if known {
		missing, err := n.missingBlocks(ctx, state, found)
		note.Missing = len(missing)
		for _, g := range missing {
			found.AddMissing(g)
		}
		if err != nil && found.Count() == 0 {
			return found, err
		}
	}
	if found.Count() > 0 {
		n.log.Error("the disk does not hold what was written", "bucket", bucket, "first", damageText(found.Damaged[0]), "records", note.Records, "missing_blocks", note.Missing)
	}
	n.blocks.note(note)
	return found, nil
}

// answerBlocks reads the blocks of a table for another node.
func (n *Node) answerBlocks(ctx context.Context, body []byte) any {
	var q blocksRequest
	if err := json.Unmarshal(body, &q); err != nil || !slices.Contains(core.Tables(), q.Table) {
		return blocksReply{Error: core.Errorf(core.KindInvalid, "this version of unibusd does not know this request")}
	}
	bucket := q.Table.Bucket()
	found, err := n.readBlocks(ctx, bucket)
	if err != nil {
		return blocksReply{Error: core.AsError(err)}
	}
	out := blocksReply{Records: found.Records, More: found.More, Missing: found.Missing}
	for _, d := range found.Damaged {
		out.Damaged = append(out.Damaged, doctor.Fault{Bucket: bucket, Key: strings.TrimPrefix(d.Subject, "$KV."+bucket+"."), Text: damageText(d)})
	}
	return out
}

func damageText(d blockfile.Damage) string {
	if d.Through != 0 {
		return fmt.Sprintf("no block holds the records %d to %d: %s is missing, or was cut short", d.Sequence, d.Through, d.File)
	}
	if d.Sequence == 0 {
		return "the block " + d.File + " cannot be read further"
	}
	return fmt.Sprintf("the record %d in the block %s is not what was written", d.Sequence, d.File)
}

// nodeBlocks asks the nodes about their blocks, for the doctor.
type nodeBlocks struct {
	doctor.Replicas
	n *Node
}

// ReadBlocks implements doctor.Blocks.
func (b nodeBlocks) ReadBlocks(ctx context.Context, t core.Table, node string) (doctor.BlockReport, error) {
	body, err := json.Marshal(blocksRequest{t})
	if err != nil {
		return doctor.BlockReport{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, blockTimeout)
	defer cancel()
	m, err := b.n.peers.conn.RequestWithContext(ctx, fileSubject(node, questionBlocks), body)
	if err != nil {
		return doctor.BlockReport{}, core.Errorf(core.KindUnavailable, "%s does not say what is on its disk", node).
			WithNext("check that %s is up and runs the same version, and check again: unibusd doctor", node)
	}
	var a blocksReply
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return doctor.BlockReport{}, core.Errorf(core.KindFailed, "the answer of %s about its disk cannot be read: %w", node, err)
	}
	if a.Error != nil {
		return doctor.BlockReport{}, a.Error
	}
	return doctor.BlockReport{Records: a.Records, Damaged: a.Damaged, More: a.More, Missing: a.Missing}, nil
}
