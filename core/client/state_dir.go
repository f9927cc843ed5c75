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

// stateDir is the directory of one user's private key, of the state of rooms, and of
// the users whose keys this client has seen. Every file is replaced as a whole and synced.
type stateDir struct {
	dir     string
	lock    *os.File
	crashed bool // the process before this one did not close it

	peersFileLock sync.Mutex // held while peers are written; taken before mu
	mu            sync.Mutex
	peers         map[core.UserID]peer
	peersUnsaved  bool
}

// The files in it. A room's file is in roomsDir.
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

// roomState is the file of one room.
type roomState struct {
	V         int        `json:"v"`
	Encrypted bool       `json:"encrypted"`
	Head      *seal.Head `json:"head,omitempty"`
	// Marks are the newest times in messages of the head's epoch, by sender. Another
	// process refuses messages that are no newer: this one has delivered them.
	Marks map[core.UserID]core.Millis `json:"marks,omitempty"`
}

// openStateDir creates the directory if it is missing, and locks it.
func openStateDir(dir string, me core.UserID) (*stateDir, error) {
	d := &stateDir{dir: filepath.Join(dir, string(me)), peers: map[core.UserID]peer{}}
	if err := os.MkdirAll(filepath.Join(d.dir, roomsDir), 0o700); err != nil {
		return nil, core.Errorf(core.KindFailed, "the directory %s cannot be created: %w", d.dir, err)
	}
	if err := checkDir(d.dir); err != nil {
		return nil, err
	}
	if err := d.flock(); err != nil {
		return nil, err
	}
	if err := d.load(); err != nil {
		_ = d.lock.Close()
		return nil, err
	}
	return d, nil
}

func checkDir(dir string) error {
	st, err := os.Lstat(dir)
	if err != nil {
		return core.Errorf(core.KindFailed, "the directory %s cannot be read: %w", dir, err)
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

// flock locks the directory for this process.
func (d *stateDir) flock() error {
	f, err := os.OpenFile(filepath.Join(d.dir, lockFile), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return core.Errorf(core.KindFailed, "the directory %s cannot be locked: %w", d.dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return newFault(core.KindRefused, ErrLocked, "the directory %s is in use by another process", d.dir).
			WithNext("end that one, or give each process a Dir and a seed of its own")
	}
	d.lock = f
	return nil
}

func (d *stateDir) load() error {
	if err := d.read(peersFile, &d.peers); err != nil {
		return err
	}
	_ = errors.Join(keys.ClearUnfinished(d.dir), keys.ClearUnfinished(d.path(roomsDir))) // remaining files do no harm
	_, err := os.Lstat(d.path(openFile))
	d.crashed = err == nil
	return d.write(openFile, true)
}

// close unlocks the directory. clean says that everything was saved.
func (d *stateDir) close(clean bool) error {
	var err error
	if clean {
		err = os.Remove(d.path(openFile))
	}
	return errors.Join(err, d.lock.Close())
}

func (d *stateDir) path(name string) string { return filepath.Join(d.dir, name) }

// kem reads the user's private key, and makes one if there is none.
func (d *stateDir) kem() (*seal.KEM, error) {
	text, err := keys.ReadPrivate(d.path(kemFile), "the file of the encryption key")
	if core.KindOf(err) == core.KindNotFound {
		return d.newKEM()
	}
	if err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(string(trimmed(text)))
	if err != nil {
		return nil, d.damaged(kemFile, err)
	}
	k, err := seal.ParseKEM(raw)
	if err != nil {
		return nil, d.damaged(kemFile, err)
	}
	return k, nil
}

func trimmed(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] <= ' ' {
		b = b[:len(b)-1]
	}
	return b
}

func (d *stateDir) newKEM() (*seal.KEM, error) {
	k, err := seal.NewKEM()
	if err != nil {
		return nil, err
	}
	raw, err := k.Bytes()
	if err != nil {
		return nil, err
	}
	if err := keys.Replace(d.path(kemFile), []byte(hex.EncodeToString(raw)+"\n")); err != nil { // half a key after a crash would stop every start
		return nil, core.Errorf(core.KindFailed, "%s cannot be written: %w", d.path(kemFile), err)
	}
	return k, nil
}

func (d *stateDir) damaged(name string, err error) error {
	return core.Errorf(core.KindInvalid, "%s is damaged: %w", d.path(name), err).
		WithNext("restore it from a copy; or move it away, and the client trusts what the nodes say first")
}

func (d *stateDir) room(id core.RoomID) (roomState, error) {
	var m roomState
	if err := d.read(roomFile(id), &m); err != nil {
		return roomState{}, err
	}
	if m.V > stateVersion || m.Head != nil && m.Head.Room != id {
		return roomState{}, d.damaged(roomFile(id), core.Errorf(core.KindInvalid, "it is another room's, or of a newer version"))
	}
	return m, nil
}

// noteEncrypted saves that a room was created encrypted: from then on no node can
// deny it. The saved state of a room of that id stays: a node that says the room is
// new must not make the client forget it.
func (d *stateDir) noteEncrypted(n NewRoom) error {
	if !n.Encrypted {
		return nil
	}
	m, err := d.room(n.ID)
	if err != nil || m.Encrypted {
		return err
	}
	m.Encrypted = true
	return d.saveRoom(n.ID, m)
}

func (d *stateDir) saveRoom(id core.RoomID, m roomState) error {
	m.V = stateVersion
	return d.write(roomFile(id), m)
}

func roomFile(id core.RoomID) string { return filepath.Join(roomsDir, string(id)+".json") }

// checkPeerKey checks a KEM key against the newest known one of its user, and remembers it.
func (d *stateDir) checkPeerKey(k seal.KEMKey) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, ok := d.peers[k.User]; ok {
		if err := k.Follows(seal.KEMKey{User: k.User, Time: known.Time, Hash: known.Hash}); err != nil {
			return err
		}
	}
	now := peer{k.Time, k.Hash}
	d.peersUnsaved = d.peersUnsaved || d.peers[k.User] != now
	d.peers[k.User] = now
	return nil
}

// peer returns the newest known key of a user.
func (d *stateDir) peer(u core.UserID) (peer, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.peers[u]
	return p, ok
}

// savePeers saves the known keys. All that were checked before are on disk when it
// returns without an error.
func (d *stateDir) savePeers() error {
	d.peersFileLock.Lock()
	defer d.peersFileLock.Unlock()
	d.mu.Lock()
	peers, unsaved := maps.Clone(d.peers), d.peersUnsaved
	d.peersUnsaved = false
	d.mu.Unlock()
	if !unsaved {
		return nil
	}
	err := d.write(peersFile, peers)
	if err != nil {
		d.mu.Lock()
		d.peersUnsaved = true
		d.mu.Unlock()
	}
	return err
}

// read changes nothing if there is no such file.
func (d *stateDir) read(name string, out any) error {
	data, err := os.ReadFile(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be read: %w", d.path(name), err)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return d.damaged(name, err)
	}
	return nil
}

// write replaces a file: after a crash it is the old one or the new one.
func (d *stateDir) write(name string, value any) error {
	data, err := json.Marshal(value)
	if err == nil {
		err = keys.Replace(d.path(name), data)
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "%s cannot be written: %w", d.path(name), err).
			WithNext("the client uses nothing that it cannot save: repair the disk and try again")
	}
	return nil
}
