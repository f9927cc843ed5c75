// Package blockfile reads the block files of nats-server's streams as they are on the disk,
// and checks each record by the checksum that the server wrote beside it. core/node calls it:
// the server itself answers from memory while a block is there, and then sees no damage.
// It reads only, beside a server that writes. Begin with Read.
package blockfile

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/highwayhash"

	"unibus/core"
)

// The layout of a record, as nats-server's filestore.go has it: length, sequence, time and the
// length of the subject; subject; the length of the headers, if there are any; headers; value;
// checksum.
const (
	headSize     = 4 + 8 + 8 + 2
	checksumSize = highwayhash.Size64
	hasHeaders   = 1 << 31 // in the length
	erased       = 1 << 63 // in the sequence: of a message whose place is kept
	tombstone    = 1 << 62 // in the sequence: a note about a message deleted in another block
	notAMessage  = erased | tombstone
	longest      = 32 << 20
)

// MaxDamaged is how many damaged records a Report lists.
const MaxDamaged = 20

// Report is what was found in the blocks of one stream.
type Report struct {
	Records int // that could be read
	Damaged []Damage
	More    int // damaged ones that are not listed
	Missing int // how many of the damaged are ranges that no block holds

	blocks []span // that were there
}

// Damage is a record that is not what the server wrote.
type Damage struct {
	File     string // of the block
	Sequence uint64 // 0: not known
	Subject  string // as it is on the disk, where the damage may be; "": not known
	Through  uint64 // the last sequence, where no block holds those from Sequence on; else 0
}

// Count is how many records are damaged. One that hides those behind it counts as one.
func (r Report) Count() int { return len(r.Damaged) + r.More }

const (
	tries    = 4 // of a block with damage: the server may be writing it
	tryPause = 250 * time.Millisecond
)

// Read reads all blocks of a stream in dir, its directory of messages. KindNotFound if there is
// no such directory, KindUnavailable if a block cannot be read or is of another form.
func Read(ctx context.Context, dir, stream string) (Report, error) {
	var out Report
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, core.Errorf(core.KindNotFound, "there is no directory %s", dir)
	}
	if err != nil {
		return out, core.Errorf(core.KindUnavailable, "%s cannot be read: %w", dir, err).WithNext("look at the disk and the log of the node")
	}
	for _, e := range entries {
		number, isBlock := strings.CutSuffix(e.Name(), ".blk")
		index, err := strconv.ParseUint(number, 10, 32)
		if !isBlock || err != nil {
			continue
		}
		if err := out.addBlock(ctx, filepath.Join(dir, e.Name()), stream, index); err != nil {
			return out, err
		}
	}
	slices.SortFunc(out.blocks, func(a, b span) int { return cmp.Compare(a.index, b.index) })
	return out, nil
}

// addBlock reads a block until no damage is in it, or the damage stays. The server may have
// removed it.
func (r *Report) addBlock(ctx context.Context, path, stream string, index uint64) error {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, index))
	check, err := highwayhash.New64(sum[:])
	if err != nil {
		return core.Errorf(core.KindFailed, "%w", err)
	}
	for try := 1; ; try++ {
		block, err := readFresh(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return core.Errorf(core.KindUnavailable, "the block %s cannot be read from the disk: %w", path, err).WithNext("look at the health of that disk")
		}
		if bytes.HasPrefix(block, []byte("cmp")) {
			return core.Errorf(core.KindUnavailable, "the block %s is compressed, and unibus writes no such blocks", path)
		}
		held, records, damaged := readBlock(block, filepath.Base(path), check)
		if len(damaged) == 0 || try == tries {
			held.index = index
			r.Records, r.blocks = r.Records+records, append(r.blocks, held)
			r.add(damaged...)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tryPause):
		}
	}
}

func (r *Report) add(damaged ...Damage) {
	kept := min(len(damaged), MaxDamaged-len(r.Damaged))
	r.Damaged, r.More = append(r.Damaged, damaged[:kept]...), r.More+len(damaged)-kept
}

// readFresh reads a file from the disk: what the kernel has of it in memory is dropped first.
func readFresh(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	dropFromMemory(f)
	return io.ReadAll(f)
}

// readBlock counts the records that are in order. A length that cannot be right hides what is
// behind it.
func readBlock(block []byte, file string, check hash.Hash64) (held span, records int, damaged []Damage) {
	for len(block) > 0 {
		if len(block) < headSize {
			held.cut = true
			return held, records, append(damaged, Damage{File: file})
		}
		head := block[:headSize]
		length, subject := binary.LittleEndian.Uint32(head), int(binary.LittleEndian.Uint16(head[20:]))
		before := subject // what is in front of headers and value
		if length&hasHeaders != 0 {
			before += 4
		}
		size := int(length &^ hasHeaders)
		if size > longest || size > len(block) || headSize+before+checksumSize > size {
			held.cut = true
			return held, records, append(damaged, Damage{File: file})
		}
		body, end := block[headSize:size-checksumSize], block[size-checksumSize:size]
		check.Reset()
		for _, part := range [][]byte{head[4:20], body[:subject], body[before:]} {
			_, _ = check.Write(part) // never fails
		}
		sequence := binary.LittleEndian.Uint64(head[4:])
		if held.cut = !bytes.Equal(check.Sum(nil), end); !held.cut {
			records++
			held.add(sequence)
		} else {
			held.torn = held.torn || held.first == 0
			damaged = append(damaged, Damage{File: file, Sequence: sequence &^ notAMessage, Subject: string(body[:subject])})
		}
		block = block[size:]
	}
	return held, records, damaged
}
