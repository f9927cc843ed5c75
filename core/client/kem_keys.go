package client

import (
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/seal"
)

// kemKeys are the private encryption keys of this user. New boxes are sealed to the
// current one. A former one stays until no box that is still needed was sealed to it.
type kemKeys struct {
	dir *stateDir

	mu      sync.Mutex
	current *seal.KEM // kem.key
	next    *seal.KEM // on disk, and perhaps published; nil unless a renewal is under way
	former  []formerKEM
	made    core.Millis // when the current one was put into use, by this machine's clock; 0: not known
}

// formerKEM is a key that another one has replaced.
type formerKEM struct {
	key     *seal.KEM
	retired core.Millis
}

// kemFormerFile holds the keys beside kem.key. An earlier release does not read it, and
// goes on with the current key alone.
const kemFormerFile = "kem-former.json"

// kemFormerState is the content of kemFormerFile. Private keys are in hex.
type kemFormerState struct {
	V      int             `json:"v"`
	Made   core.Millis     `json:"made,omitempty"`
	Next   string          `json:"next,omitempty"`
	Former []kemFormerItem `json:"former,omitempty"`
}

type kemFormerItem struct {
	Key     string      `json:"key"`
	Retired core.Millis `json:"retired"`
}

// openKEMKeys reads the keys, and makes one if there is none.
func openKEMKeys(d *stateDir) (*kemKeys, error) {
	current, err := d.kem()
	if err != nil {
		return nil, err
	}
	k := &kemKeys{dir: d, current: current}
	if _, err := keys.ReadPrivate(d.path(kemFormerFile), "the file of the former encryption keys"); core.KindOf(err) == core.KindNotFound {
		return k, nil
	} else if err != nil {
		return nil, err
	}
	var state kemFormerState
	if err := d.read(kemFormerFile, &state); err != nil {
		return nil, err
	}
	if err := k.load(state); err != nil {
		return nil, d.damaged(kemFormerFile, err)
	}
	return k, nil
}

// load takes the content of the file. A stop between two writes leaves a key in two
// places, which does no harm.
func (k *kemKeys) load(state kemFormerState) error {
	if state.V > stateVersion {
		return core.Errorf(core.KindInvalid, "it is of a newer version")
	}
	k.made = state.Made
	if state.Next != "" {
		next, err := parseKEM(state.Next)
		if err != nil {
			return err
		}
		if next.Hash() != k.current.Hash() {
			k.next = next
		}
	}
	for _, item := range state.Former {
		key, err := parseKEM(item.Key)
		if err != nil {
			return err
		}
		k.former = append(k.former, formerKEM{key, item.Retired})
	}
	return nil
}

func parseKEM(text string) (*seal.KEM, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "it holds a key that is no hexadecimal text")
	}
	return seal.ParseKEM(raw)
}

func kemText(k *seal.KEM) (string, error) {
	raw, err := k.Bytes()
	return hex.EncodeToString(raw), err
}

// save writes what is beside kem.key. The caller holds mu.
func (k *kemKeys) save() (err error) {
	state := kemFormerState{V: stateVersion, Made: k.made}
	if k.next != nil {
		if state.Next, err = kemText(k.next); err != nil {
			return err
		}
	}
	for _, f := range k.former {
		item := kemFormerItem{Retired: f.retired}
		if item.Key, err = kemText(f.key); err != nil {
			return err
		}
		state.Former = append(state.Former, item)
	}
	return k.dir.write(kemFormerFile, state)
}

// Hash names the current key.
func (k *kemKeys) Hash() seal.Hash { return k.now().Hash() }

// now is the current key.
func (k *kemKeys) now() *seal.KEM {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// forBox is the key to which a box was sealed; the current one if that key is not here,
// with which seal.OpenBox then says so.
func (k *kemKeys) forBox(b []byte) *seal.KEM {
	k.mu.Lock()
	defer k.mu.Unlock()
	want, err := seal.BoxKEMHash(b)
	if err != nil {
		return k.current
	}
	if k.next != nil && k.next.Hash() == want {
		return k.next
	}
	for _, f := range k.former {
		if f.key.Hash() == want {
			return f.key
		}
	}
	return k.current
}

// prepare returns the key that replaces the current one. It is on disk: a box may be
// sealed to it as soon as it is published.
func (k *kemKeys) prepare() (*seal.KEM, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.next != nil {
		return k.next, nil
	}
	next, err := seal.NewKEM()
	if err != nil {
		return nil, err
	}
	k.next = next
	if err := k.save(); err != nil {
		k.next = nil
		return nil, err
	}
	return next, nil
}

// renewing says that a key was prepared and is not in use yet.
func (k *kemKeys) renewing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.next != nil
}

// use puts the prepared key into use, once it is published. The current one is on disk as
// a former one before kem.key is replaced: after a stop anywhere, every key is there.
func (k *kemKeys) use(now core.Millis) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.next == nil {
		return nil
	}
	if !slices.ContainsFunc(k.former, func(f formerKEM) bool { return f.key.Hash() == k.current.Hash() }) {
		k.former = append(k.former, formerKEM{k.current, now})
	}
	if err := k.save(); err != nil {
		return err
	}
	text, err := kemText(k.next)
	if err != nil {
		return err
	}
	if err := keys.Replace(k.dir.path(kemFile), []byte(text+"\n")); err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be written: %w", k.dir.path(kemFile), err)
	}
	k.current, k.next, k.made = k.next, nil, now
	return k.save()
}

// due says whether the current key is old. published is the time of its publication, for
// a key whose file does not say when it was made.
func (k *kemKeys) due(now time.Time, every time.Duration, published core.Millis) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	since := k.made
	if since == 0 {
		since = published
	}
	return k.next != nil || now.Sub(since.Time()) >= every
}

// correct takes back times that are ahead of the clock: it was wrong when they were
// noted, or is wrong now. The keys would otherwise stay until then.
func (k *kemKeys) correct(now, published core.Millis) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	changed := k.made > now || k.made == 0 && published > now
	if changed {
		k.made = now
	}
	for i, f := range k.former {
		if f.retired > now {
			k.former[i].retired, changed = now, true
		}
	}
	if !changed {
		return nil
	}
	return k.save()
}

// replaced are the former keys that were replaced before a time.
func (k *kemKeys) replaced(before core.Millis) (out []seal.Hash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range k.former {
		if f.retired <= before {
			out = append(out, f.key.Hash())
		}
	}
	return out
}

// forget deletes former keys, from the disk first.
func (k *kemKeys) forget(which func(h seal.Hash, retired core.Millis) bool) (forgotten int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.former
	k.former = slices.DeleteFunc(slices.Clone(before), func(f formerKEM) bool { return which(f.key.Hash(), f.retired) })
	if len(k.former) == len(before) {
		return 0, nil
	}
	if err := k.save(); err != nil {
		k.former = before
		return 0, err
	}
	return len(before) - len(k.former), nil
}
