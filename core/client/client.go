package client

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/keys"
	"unibus/core/seal"
)

// Client is one user on the bus. Safe for use by several goroutines.
//
// It keeps one connection and reconnects to another of its servers when a node
// dies. A session also ends, for a tenth of a second, when its user gains or loses
// a room; Disconnected and Connected report it. While there is no session, calls
// wait for one. Once the nodes have refused this user for seven seconds, as they
// refuse a revoked one, calls fail at once (ErrRefused), and the event Refused says
// so. The client keeps trying, and Connected says that it was admitted again.
//
// A read is sent again until a node answers, ctx ends, or Timeout is over. So is a
// change with the same result when it is made twice: creating, inviting, removing,
// leaving, archiving, publishing, giving a key, revoking. Roles, names, declining,
// activating and adding a user are sent once, because a second time might undo
// another user's change; KindUnavailable then says that the outcome is not known.
//
// Errors are *core.Error. Their cause may be a Fault of this package or of
// core/seal, for errors.Is(err, ErrNotMember).
type Client struct {
	cfg        Config
	log        *slog.Logger
	timing     timing
	events     eventFeed
	suspicions suspicionLog

	// wrap lets tests put another control service in between.
	wrap func(controlAPI) controlAPI
	// withhold lets tests have a node that does not deliver some messages; nil: none.
	withhold func(*nats.Msg) bool

	id      keys.Identity
	me      core.UserID
	nc      *nats.Conn
	api     controlAPI
	dir     *stateDir
	kem     *kemKeys
	session *sessionTracker

	life           context.Context // ends with Close; the parent of every goroutine of the client
	end            context.CancelFunc
	work           sync.WaitGroup
	requestSlots   chan struct{} // bounds the requests under way
	sessionRenewed chan struct{} // another session has begun

	kemLock     sync.Mutex // held while this user's key is published or renewed, and for the requests of it
	invitations *invitationWatch
	verified    *verifiedPeople

	openLock sync.Mutex // held by Open, and by Close while it tears down
	tornDown bool       // guarded by openLock

	mu            sync.Mutex
	state         state
	openSucceeded bool // Open has succeeded once: its results do not change any more
	rooms         map[core.RoomID]*Room
	memberOf      map[core.RoomID]bool        // the rooms of this user, as they were read last
	founders      map[core.RoomID]core.UserID // of rooms that were founded anew, as the program has named them
	ownKEM        seal.KEMKey                 // as it is published
}

// state is the life cycle of a client.
type state int

const (
	created state = iota
	opening
	opened
	ended
)

// maxRequests is how many requests a client has under way: a node answers sixteen of one caller at a time.
const maxRequests = 8

// New does no I/O.
func New(cfg Config) *Client {
	cfg = cfg.withDefaults()
	c := &Client{
		cfg: cfg, log: cfg.Log, timing: defaultTiming(), events: eventFeed{readers: map[*queue[Event]]struct{}{}}, session: newSessionTracker(),
		requestSlots: make(chan struct{}, maxRequests), sessionRenewed: make(chan struct{}, 1), rooms: map[core.RoomID]*Room{}, memberOf: map[core.RoomID]bool{},
		founders: map[core.RoomID]core.UserID{}, invitations: newInvitationWatch(),
	}
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// Open reads the files, connects, and publishes this user's encryption key unless
// it is published. KindInvalid for the configuration, KindRefused for the seed or
// the user, KindUnavailable if no node answers within Connect. A failed Open closes
// the client.
func (c *Client) Open(ctx context.Context) error {
	c.openLock.Lock()
	defer c.openLock.Unlock()
	c.mu.Lock()
	was := c.state
	c.state = max(was, opening)
	c.mu.Unlock()
	switch was {
	case opening, opened:
		return core.Errorf(core.KindInvalid, "the client is open already")
	case ended:
		return closedError("client")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	err := c.open(ctx)
	if err != nil {
		c.mu.Lock()
		c.state = ended
		c.mu.Unlock()
		if e := c.tearDown(); e != nil {
			c.log.Warn("a client that could not be opened did not close cleanly", "error", e)
		}
	}
	return err
}

func (c *Client) open(ctx context.Context) error {
	var err error
	if c.cfg, err = c.cfg.resolved(); err != nil {
		return err
	}
	if c.id, err = c.cfg.identity(); err != nil {
		return err
	}
	c.me = core.UserID(c.id.Public())
	if c.dir, err = openStateDir(c.cfg.Dir, c.me); err != nil {
		return err
	}
	if c.verified, err = openVerified(c.dir); err != nil {
		return err
	}
	if c.kem, err = openKEMKeys(c.dir); err != nil {
		return err
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	if err := c.identify(ctx); err != nil {
		return err
	}
	if c.wrap != nil {
		c.api = c.wrap(c.api)
	}
	if err := c.publishKEMKey(ctx); err != nil {
		return err
	}
	if err := c.refreshRooms(ctx, false); err != nil {
		return err
	}
	if err := c.startInvitations(ctx); err != nil {
		return err
	}
	if !c.spawn(c.run) {
		return closedError("client")
	}
	c.mu.Lock()
	c.state, c.openSucceeded = max(c.state, opened), true
	c.mu.Unlock()
	return nil
}

// Close ends the connection and every goroutine, saves the state of the rooms, and
// unlocks the directory. Closing twice is harmless.
func (c *Client) Close() error {
	c.mu.Lock()
	was := c.state
	c.state = ended
	c.mu.Unlock()
	if was == ended {
		return nil
	}
	if !c.openLock.TryLock() { // Open is under way, and fails
		c.end()
		c.openLock.Lock()
	}
	defer c.openLock.Unlock()
	return c.tearDown()
}

// tearDown closes what Open has opened, once. The caller has set the state, and
// holds openLock.
func (c *Client) tearDown() error {
	if c.tornDown {
		return nil
	}
	c.tornDown = true
	c.mu.Lock()
	rooms := c.rooms
	c.rooms = map[core.RoomID]*Room{}
	c.mu.Unlock()
	for _, r := range rooms {
		r.end(closedError("client"))
	}
	c.end()
	if c.nc != nil {
		if c.nc.IsConnected() {
			_ = c.nc.FlushTimeout(time.Second) // without a node the last messages are lost either way
		}
		c.nc.Close()
	}
	c.work.Wait()
	if c.dir == nil {
		return nil
	}
	err := c.dir.savePeers()
	for _, r := range rooms {
		err = errors.Join(err, r.saveErr)
	}
	return errors.Join(err, c.dir.close(err == nil))
}

func (c *Client) withholds(m *nats.Msg) bool { return c.withhold != nil && c.withhold(m) }

// spawn runs f in a goroutine that Close waits for. It returns false once the
// client is closed.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == ended {
		return false
	}
	c.work.Go(f)
	return true
}

// User is this client's own id, "" before it is open.
func (c *Client) User() core.UserID {
	if !c.hasOpened() {
		return ""
	}
	return c.me
}

// Connected is the name of the connected node, "" while there is none.
func (c *Client) Connected() string {
	if !c.hasOpened() || c.nc == nil || !c.nc.IsConnected() {
		return ""
	}
	return c.nc.ConnectedServerName()
}

// Flush waits until the connected node has all messages that were sent. Messages
// of a session that is lost may be lost with it.
func (c *Client) Flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if err := c.checkOpen(); err != nil {
		return err
	}
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return newFault(core.KindUnavailable, ErrOffline, "no node has confirmed the messages that were sent: %s", errorText(err))
	}
	return nil
}

// run reads the list of rooms again after each new session, and renews this user's
// encryption key when it is old.
func (c *Client) run() {
	keys := time.NewTimer(jittered(c.timing.keyCareAfter))
	defer keys.Stop()
	for {
		select {
		case <-c.life.Done():
			return
		case <-keys.C:
			c.careForKeys(c.life)
			keys.Reset(jittered(c.timing.keyCareEvery))
			continue
		case <-c.sessionRenewed:
		}
		c.invitations.wake()
		for c.refreshRooms(c.life, true) != nil && sleep(c.life, jittered(maxRetryWait)) { // each failure took Timeout, or was the end of a session
			c.log.Warn("the list of rooms could not be read after the session was renewed; trying again")
		}
	}
}

// refreshRooms reads this user's rooms. With emit it emits events for the difference.
func (c *Client) refreshRooms(ctx context.Context, emit bool) error {
	rooms, err := sendRetrying(ctx, c, readOnly, func(ctx context.Context) ([]core.Room, error) { return c.api.Rooms(ctx) })
	if err != nil {
		return err
	}
	c.mu.Lock()
	before := c.memberOf
	c.memberOf = make(map[core.RoomID]bool, len(rooms))
	var events []Event
	for _, r := range rooms {
		c.memberOf[r.ID] = true
		if !before[r.ID] {
			events = append(events, Joined{r})
		}
	}
	for id := range before {
		if !c.memberOf[id] {
			events = append(events, Left{id})
		}
	}
	c.mu.Unlock()
	for _, e := range events {
		if emit {
			c.events.emit(e)
		}
	}
	return nil
}

func (c *Client) setOwnKey(k seal.KEMKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ownKEM = k
}

// ownKey is the key that a room's key is sealed to for this user.
func (c *Client) ownKey() seal.KEMKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ownKEM
}

// reportSuspicion logs and emits that a node or member showed something that
// contradicts the known state.
func (c *Client) reportSuspicion(room core.RoomID, err error) {
	c.log.Warn("a node or member showed something that contradicts the known state", "room", room, "error", err)
	c.suspicions.note(room, err, time.Now())
	c.events.emit(Suspicion{room, err})
}
