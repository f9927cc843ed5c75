package client

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/seal"
)

// stateDir is the directory of one user's secrets and of what this user knows for
// certain. Every file is replaced as a whole and synced.
type stateDir struct {
	dir     string
	lock    *os.File
	crashed bool // the process before this one did not close it

	saving sync.Mutex // held while peers are written; taken before mu
	mu     sync.Mutex
	peers  map[core.UserID]peer
	dirty  bool // peers are not as on disk
}

// The files. A room's is below roomsDir.
const (
	lockFile  = "lock"
	kemFile   = "kem.key"
	peersFile = "peers.json"
	openFile  = "open"
	roomsDir  = "rooms"

	stateVersion = 1
)

// peer is the newest KEM key that was seen of a user.
type peer struct {
	Time core.Millis `json:"time"`
	Hash seal.Hash   `json:"hash"`
}

// roomState is what is kept of one room.
type roomState struct {
	V         int        `json:"v"`
	Encrypted bool       `json:"encrypted"`
	Head      *seal.Head `json:"head,omitempty"`
	// Marks are the newest times that senders have claimed in the head's epoch: what
	// claims no later one in another process was delivered by this one.
	Marks map[core.UserID]core.Millis `json:"marks,omitempty"`
}

// openStateDir makes the directory where it is missing, and locks it.
func openStateDir(dir string, me core.UserID) (*stateDir, error) {
	v := &stateDir{dir: filepath.Join(dir, string(me)), peers: map[core.UserID]peer{}}
	if err := os.MkdirAll(filepath.Join(v.dir, roomsDir), 0o700); err != nil {
		return nil, core.Errorf(core.KindFailed, "the directory %s cannot be made: %w", v.dir, err)
	}
	if err := checkDir(v.dir); err != nil {
		return nil, err
	}
	if err := v.take(); err != nil {
		return nil, err
	}
	if err := v.load(); err != nil {
		_ = v.lock.Close()
		return nil, err
	}
	return v, nil
}

func checkDir(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return core.Errorf(core.KindFailed, "the directory %s cannot be looked at: %w", dir, err)
	}
	switch sys, ok := st.Sys().(*syscall.Stat_t); {
	case !st.IsDir():
		return core.Errorf(core.KindRefused, "%s is not a directory", dir)
	case ok && int(sys.Uid) != os.Geteuid():
		return core.Errorf(core.KindRefused, "the directory %s belongs to another user (uid %d)", dir, sys.Uid).WithNext("use one of your own")
	case st.Mode().Perm()&0o077 != 0:
		return core.Errorf(core.KindRefused, "the directory %s is open to others (mode %04o)", dir, st.Mode().Perm()).WithNext("chmod 700 %s", dir)
	}
	return nil
}

// take locks the directory for as long as the process lives.
func (v *stateDir) take() error {
	f, err := os.OpenFile(filepath.Join(v.dir, lockFile), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return core.Errorf(core.KindFailed, "the directory %s cannot be locked: %w", v.dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return newFault(core.KindRefused, ErrLocked, "the directory %s is in use by another process", v.dir).
			WithNext("end that one, or give each process a Dir and a seed of its own")
	}
	v.lock = f
	return nil
}

func (v *stateDir) load() error {
	if err := v.read(peersFile, &v.peers); err != nil {
		return err
	}
	_ = errors.Join(keys.ClearUnfinished(v.dir), keys.ClearUnfinished(v.path(roomsDir))) // what is left does no harm
	_, err := os.Lstat(v.path(openFile))
	v.crashed = err == nil
	return v.write(openFile, true)
}

// close lets the next process in. clean says that everything was kept.
func (v *stateDir) close(clean bool) error {
	var err error
	if clean {
		err = os.Remove(v.path(openFile))
	}
	return errors.Join(err, v.lock.Close())
}

func (v *stateDir) path(name string) string { return filepath.Join(v.dir, name) }

// kem is the user's private key, made where there is none yet.
func (v *stateDir) kem() (*seal.KEM, error) {
	text, err := keys.ReadPrivate(v.path(kemFile), "the file of the encryption key")
	if core.KindOf(err) == core.KindNotFound {
		return v.newKEM()
	}
	if err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(string(trimmed(text)))
	if err != nil {
		return nil, v.damaged(kemFile, err)
	}
	k, err := seal.ParseKEM(raw)
	if err != nil {
		return nil, v.damaged(kemFile, err)
	}
	return k, nil
}

func trimmed(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] <= ' ' {
		b = b[:len(b)-1]
	}
	return b
}

func (v *stateDir) newKEM() (*seal.KEM, error) {
	k, err := seal.NewKEM()
	if err != nil {
		return nil, err
	}
	raw, err := k.Bytes()
	if err != nil {
		return nil, err
	}
	if err := keys.Replace(v.path(kemFile), []byte(hex.EncodeToString(raw)+"\n")); err != nil { // half a key after a crash would stop every start
		return nil, core.Errorf(core.KindFailed, "%s cannot be written: %w", v.path(kemFile), err)
	}
	return k, nil
}

func (v *stateDir) damaged(name string, err error) error {
	return core.Errorf(core.KindInvalid, "%s is damaged: %w", v.path(name), err).
		WithNext("restore it from a copy; or move it away, and what it knew is learnt anew, on trust")
}

func (v *stateDir) room(id core.RoomID) (roomState, error) {
	var m roomState
	if err := v.read(roomFile(id), &m); err != nil {
		return roomState{}, err
	}
	if m.V > stateVersion || m.Head != nil && m.Head.Room != id {
		return roomState{}, v.damaged(roomFile(id), core.Errorf(core.KindInvalid, "it is another room's, or of a newer version"))
	}
	return m, nil
}

// encrypts notes that a room was made to be encrypted: from then on no node can
// say that it is not. What is known of a room of that id stays: a node that says
// that it was made anew must not have it forgotten.
func (v *stateDir) encrypts(n NewRoom) error {
	if !n.Encrypted {
		return nil
	}
	m, err := v.room(n.ID)
	if err != nil || m.Encrypted {
		return err
	}
	m.Encrypted = true
	return v.saveRoom(n.ID, m)
}

func (v *stateDir) saveRoom(id core.RoomID, m roomState) error {
	m.V = stateVersion
	return v.write(roomFile(id), m)
}

func roomFile(id core.RoomID) string { return filepath.Join(roomsDir, string(id)+".json") }

// follows checks a KEM key against the newest that was seen of its user, and remembers it.
func (v *stateDir) follows(k seal.KEMKey) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if known, ok := v.peers[k.User]; ok {
		if err := k.Follows(seal.KEMKey{User: k.User, Time: known.Time, Hash: known.Hash}); err != nil {
			return err
		}
	}
	now := peer{k.Time, k.Hash}
	v.dirty = v.dirty || v.peers[k.User] != now
	v.peers[k.User] = now
	return nil
}

// known is the newest key that was seen of a user.
func (v *stateDir) known(u core.UserID) (peer, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, ok := v.peers[u]
	return p, ok
}

// savePeers writes down whose keys were seen. When it returns without an error all that was seen before is on disk.
func (v *stateDir) savePeers() error {
	v.saving.Lock()
	defer v.saving.Unlock()
	v.mu.Lock()
	peers, dirty := maps.Clone(v.peers), v.dirty
	v.dirty = false
	v.mu.Unlock()
	if !dirty {
		return nil
	}
	err := v.write(peersFile, peers)
	if err != nil {
		v.mu.Lock()
		v.dirty = true
		v.mu.Unlock()
	}
	return err
}

// read leaves out alone where there is no such file.
func (v *stateDir) read(name string, out any) error {
	data, err := os.ReadFile(v.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be read: %w", v.path(name), err)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return v.damaged(name, err)
	}
	return nil
}

// write replaces a file: after a crash it is the old one or the new one.
func (v *stateDir) write(name string, value any) error {
	data, err := json.Marshal(value)
	if err == nil {
		err = keys.Replace(v.path(name), data)
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be written: %w", v.path(name), err).
			WithNext("nothing is taken for known that is not kept: mend the disk and try again")
	}
	return nil
}
