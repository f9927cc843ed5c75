package core

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// Digest summarizes a table: how many rows, and SHA-256 over their length-prefixed
// keys and values in bytewise key order. Equal digests mean equal rows.
type Digest struct {
	Count  int    `json:"count"`
	SHA256 string `json:"sha256"`
}

// Digester computes a Digest in one pass over rows in bytewise key order.
type Digester struct {
	h     hash.Hash
	n     int
	last  string
	buf   [8]byte
	wrong bool
}

// NewDigester starts an empty digest.
func NewDigester() *Digester { return &Digester{h: sha256.New()} }

// Add adds the next row. Rows out of order are a programming error, reported by Sum.
func (d *Digester) Add(key string, value []byte) {
	if d.n > 0 && key <= d.last {
		d.wrong = true
	}
	d.last = key
	d.n++
	d.field([]byte(key))
	d.field(value)
}

func (d *Digester) field(b []byte) {
	binary.BigEndian.PutUint64(d.buf[:], uint64(len(b)))
	d.h.Write(d.buf[:])
	d.h.Write(b)
}

// Sum ends the digest. KindFailed where keys were added out of order or twice.
func (d *Digester) Sum() (Digest, error) {
	if d.wrong {
		return Digest{}, Errorf(KindFailed, "a digest was computed over keys out of order")
	}
	return Digest{Count: d.n, SHA256: hex.EncodeToString(d.h.Sum(nil))}, nil
}
