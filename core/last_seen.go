package core

import (
	"bytes"
	"cmp"
	"encoding/base32"
	"encoding/binary"
	"slices"
	"sync"
)

// LastSeen keeps when users had a session last, to the hour. It has SeenShards parts, so that a change
// writes a small piece of it. A time that it has of a user never goes back. It is safe for use by several
// goroutines.
type LastSeen struct {
	mu      sync.RWMutex
	began   Millis // 0: nothing is recorded yet
	version uint64 // grows with each change
	shards  [SeenShards]seenShard
}

// LastSeenBucket is the bucket in which a cluster keeps the record. No decision depends on it.
const LastSeenBucket = "UNIBUS_last_seen"

// SeenShards is how many parts the record has. A user's part is that of the key's first byte.
const SeenShards = 256

type (
	seenKey   [32]byte // an Ed25519 public key
	seenShard struct {
		users   map[seenKey]uint32 // hours since 1970
		changes uint64
		dirty   bool // it has more than what was last written
	}
)

const (
	hourMillis   = 3_600_000
	seenFormat   = 1
	seenRow      = 32 + 4
	maxSeenShard = 25_000 // users of one part: it has to fit into one message
)

// seenKeyOf is the public key inside of a user's id. false for what is no id.
func seenKeyOf(id UserID) (k seenKey, ok bool) {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(id))
	if err != nil || len(raw) != 35 {
		return k, false
	}
	copy(k[:], raw[1:33])
	return k, true
}

// Began is when recording began; 0 where it has not.
func (l *LastSeen) Began() Millis {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.began
}

// Begin sets when recording began, unless an earlier time is known.
func (l *LastSeen) Begin(at Millis) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at > 0 && (l.began == 0 || at < l.began) {
		l.began = at
		l.version++
	}
}

// Of is the hour in which a user had a session last; 0 for none since recording began.
func (l *LastSeen) Of(id UserID) Millis {
	k, ok := seenKeyOf(id)
	if !ok {
		return 0
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return Millis(l.shards[k[0]].users[k]) * hourMillis
}

// Mark records that users have or had a session at now. It returns how many of them were not
// known to have one in this hour.
func (l *LastSeen) Mark(ids []UserID, now Millis) (news int) {
	hour := uint32(max(now, 0) / hourMillis)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if k, ok := seenKeyOf(id); ok && l.raise(k, hour) {
			l.shards[k[0]].dirty = true
			news++
		}
	}
	return news
}

// raise is false where the user was known to be seen then, or later. The caller holds mu.
func (l *LastSeen) raise(k seenKey, hour uint32) bool {
	s := &l.shards[k[0]]
	had, known := s.users[k]
	if hour <= had {
		return false
	}
	if s.users == nil {
		s.users = map[seenKey]uint32{}
	}
	if !known && len(s.users) >= maxSeenShard {
		delete(s.users, s.oldest())
	}
	s.users[k] = hour
	s.changes++
	l.version++
	return true
}

// oldest is the user who was not seen for the longest time.
func (s *seenShard) oldest() (out seenKey) {
	least := ^uint32(0)
	for k, hour := range s.users {
		if hour < least {
			out, least = k, hour
		}
	}
	return out
}

// Merge adds what a part holds that was stored, by EncodeShard. A part that holds less than
// this record becomes dirty. KindInvalid for what is no such part.
func (l *LastSeen) Merge(shard int, data []byte) error {
	if shard < 0 || shard >= SeenShards || len(data) == 0 || data[0] != seenFormat || (len(data)-1)%seenRow != 0 {
		return Errorf(KindInvalid, "part %d of the record of sessions cannot be read", shard)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	stored := map[seenKey]uint32{}
	for at := 1; at < len(data); at += seenRow {
		k := seenKey(data[at : at+32])
		if int(k[0]) == shard {
			stored[k] = binary.BigEndian.Uint32(data[at+32:])
			l.raise(k, stored[k])
		}
	}
	s := &l.shards[shard]
	s.dirty = false
	for k, hour := range s.users {
		s.dirty = s.dirty || hour > stored[k]
	}
	return nil
}

// EncodeShard is a part as it is stored. written is to be called once it is.
func (l *LastSeen) EncodeShard(shard int) (data []byte, written func()) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	type row struct {
		key  seenKey
		hour uint32
	}
	var rows []row
	for k, hour := range l.shards[shard].users {
		rows = append(rows, row{k, hour})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(bytes.Compare(a.key[:], b.key[:])) })
	data = append(make([]byte, 0, 1+seenRow*len(rows)), seenFormat)
	for _, r := range rows {
		data = binary.BigEndian.AppendUint32(append(data, r.key[:]...), r.hour)
	}
	changes := l.shards[shard].changes
	return data, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.shards[shard].changes == changes { // else there is more to write already
			l.shards[shard].dirty = false
		}
	}
}

// Dirty are the parts that have more than what was last written.
func (l *LastSeen) Dirty() (out []int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for i := range l.shards {
		if l.shards[i].dirty {
			out = append(out, i)
		}
	}
	return out
}

// RewriteAll makes every part dirty that has users, because what was written is lost.
func (l *LastSeen) RewriteAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.shards {
		l.shards[i].dirty = len(l.shards[i].users) > 0
	}
}

// Version changes with each change of the record.
func (l *LastSeen) Version() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.version
}

// InactiveSince is true for a user without a session at or after a time: the user was seen last
// before it, or was added and recording began before it and no session was seen.
func (l *LastSeen) InactiveSince(u *User, before Millis) bool {
	if seen := l.Of(u.ID); seen > 0 {
		return seen+hourMillis <= before // seen at some time of that hour
	}
	began := l.Began()
	return began > 0 && max(began, u.Created) <= before
}
