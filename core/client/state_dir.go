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
	creating      map[core.RoomID]bool // calls that create a room
}

// The files in it. A room's file is in roomsDir.
const (
	lockFile  = "lock"
	kemFile   = "kem.key"
	peersFile = "peers.json"
	openFile  = "open"
	roomsDir  = "rooms"

	stateVersion        = 2 // of rooms whose members sign: an earlier release would drop what they signed
	unsignedRoomVersion = 1
)

// peer is the newest KEM key that was seen of a user.
type peer struct {
	Time core.Millis `json:"time"`
	Hash seal.Hash   `json:"hash"`
}

// roomState is the file of one room.
type roomState struct {
	V         int         `json:"v"`
	Room      core.RoomID `json:"room,omitempty"`
	Encrypted bool        `json:"encrypted"`
	Plain     bool        `json:"plain,omitempty"` // this user has made or joined it as a plain room
	Head      *seal.Head  `json:"head,omitempty"`
	// Members is how far the statements about the room's members were followed; nil for a
	// room whose members sign nothing.
	Members *seal.MembershipMark `json:"members,omitempty"`
	// Founding is the one that this user has asked for to create the room.
	Founding []byte `json:"founding,omitempty"`
	// Unproven is when a device without saved state has followed the chain from an older answer
	// of this user on: nothing here proves that it is shown as it is now. 0: that is proven.
	Unproven core.Millis `json:"unproven,omitempty"`
	// WeaklyProven says that a new device was proven while the room had one other member at most
	// when this user had signed last: another statement of this user makes it unproven again.
	WeaklyProven bool `json:"weakly_proven,omitempty"`
	// Heard is the newest time that another member has signed.
	Heard *heardState `json:"heard,omitempty"`
	// Answered says that this user joined by an answer of its own, which the chain must hold.
	Answered bool `json:"answered,omitempty"`
	// Accepted is the invitation that this user has accepted last. The chain must hold it, and
	// not an older one alone. Zero once it was found there: Members binds it from then on.
	Accepted seal.Hash `json:"accepted,omitzero"`
	// Marks are the newest times in messages of the head's epoch, by sender. Another
	// process refuses messages that are no newer: this one has delivered them.
	Marks map[core.UserID]core.Millis `json:"marks,omitempty"`
	// Came are the times by this machine's clock at which the messages of Marks came. A process
	// that has crashed may have delivered newer ones.
	Came map[core.UserID]core.Millis `json:"came,omitempty"`
}

// isSigned says that the members of the room are known to sign.
func (m *roomState) isSigned() bool {
	return m.Members != nil || m.Answered || m.Head != nil && m.Head.Members != nil
}

// isEncrypted says that the room is known to be encrypted, whatever a node says: the
// members of other rooms do not sign.
func (m *roomState) isEncrypted() bool { return m.Encrypted || m.isSigned() }

// epoch is that of the newest record that was followed; 0 before the first one.
func (m *roomState) epoch() core.Epoch {
	if m.Head == nil {
		return 0
	}
	return m.Head.Epoch
}

// openStateDir creates the directory if it is missing, and locks it.
func openStateDir(dir string, me core.UserID) (*stateDir, error) {
	d := &stateDir{dir: filepath.Join(dir, string(me)), peers: map[core.UserID]peer{}, creating: map[core.RoomID]bool{}}
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
	if m.Room != "" && m.Room != id { // where file names have no case
		return roomState{}, core.Errorf(core.KindRefused, "the file of the room %s is that of the room %s: the file system takes both names for one", id, m.Room).
			WithNext("use a Dir on a file system that tells upper from lower case")
	}
	if m.V > stateVersion || m.Head != nil && m.Head.Room != id {
		return roomState{}, d.damaged(roomFile(id), core.Errorf(core.KindInvalid, "it is another room's, or of a newer version"))
	}
	return m, nil
}

// startCreation reads the state of a room that this user creates, of which there is one
// call at a time.
func (d *stateDir) startCreation(id core.RoomID) (before roomState, err error) {
	d.mu.Lock()
	busy := d.creating[id]
	d.creating[id] = true
	d.mu.Unlock()
	if busy {
		return before, core.Errorf(core.KindConflict, "another call creates the room %s", id).WithNext("wait for that one")
	}
	if before, err = d.room(id); err != nil {
		d.endCreation(id)
	}
	return before, err
}

func (d *stateDir) endCreation(id core.RoomID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.creating, id)
}

// isCreated says that a room's state is not changed by creating it: a node that says that
// the room is new must not make the client forget it.
func (m *roomState) isCreated() bool { return m.Members != nil || m.Head != nil }

// noteCreation saves that this user creates an encrypted room, with its founding: from
// then on no node can deny it.
func (d *stateDir) noteCreation(id core.RoomID, before roomState, founding []byte, mark seal.MembershipMark) error {
	if before.isCreated() {
		return nil
	}
	now := before
	now.Encrypted, now.Founding, now.Members = true, founding, &mark
	return d.saveRoom(id, now)
}

// takeBackCreation saves that a creation was refused. That this user wants the room to be
// encrypted stays: a node that has created it could say that it exists, and is plain.
func (d *stateDir) takeBackCreation(id core.RoomID, before roomState, founding []byte) error {
	if before.isCreated() {
		return nil
	}
	if !before.Plain {
		before.Encrypted, before.Founding = true, founding
	}
	return d.saveRoom(id, before)
}

// notePlain saves that this user has made a plain room.
func (d *stateDir) notePlain(id core.RoomID) error {
	m, err := d.room(id)
	if err != nil || m.Plain || m.isEncrypted() {
		return err
	}
	m.Plain = true
	return d.saveRoom(id, m)
}

// noteAnswer saves that this user accepts an invitation, before the answer is sent.
func (d *stateDir) noteAnswer(i Invitation) error {
	m, err := d.room(i.Room)
	if err != nil || !m.noteAnswer(i) {
		return err
	}
	return d.saveRoom(i.Room, m)
}

// noteAnswer notes an invitation that this user accepts: whether the room is encrypted, as
// it was shown, and that the members sign. It returns whether that is new.
func (m *roomState) noteAnswer(i Invitation) (isNew bool) {
	isNew = i.Encrypted && !m.Encrypted || i.Signed && (!m.Answered || m.Accepted != i.statement)
	m.Encrypted, m.Answered = m.Encrypted || i.Encrypted, m.Answered || i.Signed
	if i.Signed {
		m.Accepted = i.statement
	}
	if !i.Encrypted && !i.Signed && m.Encrypted && !m.isSigned() && m.Head == nil { // all that was known is that this user has asked for it as encrypted
		m.Encrypted, m.Founding, isNew = false, nil, true
	}
	if !i.Encrypted && !i.Signed && !m.isEncrypted() && !m.Plain {
		m.Plain, isNew = true, true
	}
	return isNew
}

func (d *stateDir) saveRoom(id core.RoomID, m roomState) error {
	m.V, m.Room = unsignedRoomVersion, id
	if m.isSigned() || m.Founding != nil {
		m.V = stateVersion
	}
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
