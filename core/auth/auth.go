package auth

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// DefaultTimeout bounds the question to the directory; a server gives up a connection later than that.
const DefaultTimeout = 2 * time.Second

// Directory knows the users. Its answer is only believed without an error. One
// that also has RoomsOf says what its users may touch; without it they have no
// rooms. One that has User tells, in soft mode, a revoked user from one it has
// never heard of. A directory with Store (core.StoreHandle) is asked through that.
type Directory interface {
	IsAuthorized(ctx context.Context, id core.UserID) (bool, error)
}

type roomer interface {
	RoomsOf(ctx context.Context, id core.UserID) ([]core.RoomID, error)
}

// leasedRoomer knows them without asking a quorum for every admission.
type leasedRoomer interface {
	AdmittedRooms(ctx context.Context, id core.UserID) ([]core.RoomID, error)
}

type teller interface {
	User(ctx context.Context, id core.UserID) (core.User, error)
}

type holder interface{ Store() (core.Store, error) }

// Config is what an Authenticator is made of.
type Config struct {
	Mode        core.BusAuth // anything but off and soft is enforce
	Operators   []core.Operator
	ViewerVerbs []string         // the admin verbs a viewer may send; empty: all, and the service refuses
	Internal    map[string]Grant // this process's own identities by public key, accepted from the pipe alone
	Users       Directory        // nil knows nobody
	Timeout     time.Duration    // of one question to Users; 0: DefaultTimeout

	// OnSoft is told of everybody who was admitted in soft mode and would have
	// been refused in enforce: the key that was proven ("" without one), the
	// remote address, the reason. It must not block.
	OnSoft func(key, remote string, reason *core.Error)
}

// Authenticator decides about connections. It may be used by many goroutines.
type Authenticator struct {
	cfg       Config
	operators atomic.Pointer[map[string]core.Operator]
	removed   atomic.Pointer[map[string]bool] // keys that are refused whatever else knows them; nil: none
}

// Request is what is known of a connection when it asks to be let in.
type Request struct {
	Key                 string // the nkey it presented, "" without one
	Nonce               []byte // what the server gave it to sign
	Signature           []byte // raw, 64 bytes
	Pipe                bool   // it comes from inside this process
	Remote              string // its address, for reasons and records
	HasOtherCredentials bool   // a JWT, user, password or token was presented
	WantAccount         string // it asked for an account by name
}

// New makes an Authenticator. An operator without a usable key or role is never let in.
func New(cfg Config) *Authenticator {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	cfg.Internal = maps.Clone(cfg.Internal)
	a := &Authenticator{cfg: cfg}
	a.SetOperators(cfg.Operators)
	return a
}

// SetOperators replaces the operators. Connections that are open stay as they
// are: whoever removes an operator ends that operator's sessions too.
func (a *Authenticator) SetOperators(ops []core.Operator) {
	table := operatorTable(ops)
	a.operators.Store(&table)
}

// OperatorGrants are what the operators may do as they are configured now, but
// for those whose role is unknown: they may nothing.
func (a *Authenticator) OperatorGrants() []Grant {
	var grants []Grant
	for _, op := range *a.operators.Load() {
		if g, err := operatorGrant(op, a.cfg.ViewerVerbs); err == nil {
			grants = append(grants, g)
		}
	}
	return grants
}

// SetRemoved replaces the keys of operators who were removed by command. They are
// refused in every mode, also where a configuration or the directory has them.
func (a *Authenticator) SetRemoved(keys []string) {
	table := make(map[string]bool, len(keys))
	for _, key := range keys {
		table[key] = true
	}
	a.removed.Store(&table)
}

// Mode is the mode that was asked for.
func (a *Authenticator) Mode() core.BusAuth { return a.cfg.Mode }

// Decide says what a connection may do. A refusal is an *core.Error with the
// reason: KindInvalid for malformed credentials, KindUnavailable where the
// directory could not be asked, KindRefused otherwise.
func (a *Authenticator) Decide(ctx context.Context, r Request) (Grant, error) {
	switch {
	case r.HasOtherCredentials:
		return Grant{}, core.Errorf(core.KindRefused, "a JWT, user, password or token was presented; only nkeys are accepted here").
			WithNext("connect with an nkey seed file and nothing else")
	case r.WantAccount != "":
		return Grant{}, core.Errorf(core.KindRefused, "an account was asked for by name; the key decides the account")
	case r.Key == "" && len(r.Signature) > 0:
		return Grant{}, core.Errorf(core.KindInvalid, "a signature was presented without a key")
	case r.Key == "":
		return a.withoutIdentity(r, core.Errorf(core.KindRefused, "no identity was presented").
			WithNext("connect with the nkey seed file of a user or an operator"))
	}
	id, err := proven(r)
	if err != nil {
		return Grant{}, err
	}
	if g, ok := a.cfg.Internal[string(id)]; ok {
		return internalGrant(g, id, r)
	}
	if removed := a.removed.Load(); removed != nil && (*removed)[string(id)] {
		return Grant{}, core.Errorf(core.KindRefused, "the operator's key %s was removed", id.Short()).
			WithNext("make a new key with `unibusd keygen operator`; a removed one stays removed")
	}
	if op, ok := (*a.operators.Load())[string(id)]; ok {
		if op.Ended(core.MillisOf(time.Now())) {
			return Grant{}, ended(op)
		}
		return operatorGrant(op, a.cfg.ViewerVerbs)
	}
	return a.user(ctx, id, r)
}

// proven checks that the connection holds the key it presented. Nothing below it is reached without.
func proven(r Request) (core.UserID, error) {
	id, err := core.ParseUserID(r.Key)
	if err != nil {
		return "", core.Errorf(core.KindInvalid, "the key that was presented is not a user's public nkey").
			WithNext("connect with a seed file that `unibusd keygen` wrote")
	}
	if len(r.Nonce) == 0 {
		return "", core.Errorf(core.KindRefused, "there was no nonce for %s to sign", id.Short())
	}
	kp, err := nkeys.FromPublicKey(string(id))
	if err != nil {
		return "", core.Errorf(core.KindInvalid, "the key that was presented is not a user's public nkey")
	}
	if err := kp.Verify(r.Nonce, r.Signature); err != nil {
		return "", core.Errorf(core.KindRefused, "the signature of %s is wrong", id.Short()).
			WithNext("check that the seed belongs to this key, and that nothing between client and server changes what they say")
	}
	return id, nil
}

func internalGrant(g Grant, id core.UserID, r Request) (Grant, error) {
	if !r.Pipe {
		return Grant{}, core.Errorf(core.KindRefused, "an internal identity came over the network from %s", r.Remote).
			WithNext("find out how: these keys never leave the process's memory")
	}
	g.Who, g.Identity = WhoInternal, string(id)
	return g, nil
}

// user decides about a proven key that is neither internal nor an operator's.
func (a *Authenticator) user(ctx context.Context, id core.UserID, r Request) (Grant, error) {
	if a.cfg.Mode == core.BusAuthOff {
		return anonymousGrant(string(id)), nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	dir, err := a.directory()
	if err != nil {
		return a.withoutIdentity(r, unavailable(id, err))
	}
	ok, err := a.authorized(ctx, dir, id)
	switch {
	case err != nil:
		return a.withoutIdentity(r, unavailable(id, err))
	case ok:
		return a.member(ctx, dir, id, r)
	case a.cfg.Mode == core.BusAuthSoft && revoked(ctx, dir, id):
		return Grant{}, core.Errorf(core.KindRefused, "the user %s is revoked", id.Short()).
			WithNext("an administrator can activate it again: unibusd user activate %s", id)
	}
	return a.withoutIdentity(r, core.Errorf(core.KindRefused, "the user %s is unknown or revoked", id.Short()).
		WithNext("add it, or look at its state: unibusd user get %s", id))
}

// directory is the one store that all questions about one connection go to.
func (a *Authenticator) directory() (Directory, error) {
	if a.cfg.Users == nil {
		return nil, core.Errorf(core.KindUnavailable, "this node has no directory of users")
	}
	if h, ok := a.cfg.Users.(holder); ok {
		return h.Store()
	}
	return a.cfg.Users, nil
}

func (a *Authenticator) authorized(ctx context.Context, dir Directory, id core.UserID) (bool, error) {
	ok, err := dir.IsAuthorized(ctx, id)
	return ok && err == nil, a.inTime(ctx, err)
}

// member grants an authorized user its rooms.
func (a *Authenticator) member(ctx context.Context, dir Directory, id core.UserID, r Request) (Grant, error) {
	rooms, err := a.rooms(ctx, dir, id)
	if err != nil {
		return a.withoutIdentity(r, unavailable(id, err))
	}
	g, err := userGrant(id, rooms)
	if err != nil {
		return a.withoutIdentity(r, core.AsError(err))
	}
	return g, nil
}

func (a *Authenticator) rooms(ctx context.Context, dir Directory, id core.UserID) ([]core.RoomID, error) {
	if with, ok := dir.(leasedRoomer); ok {
		rooms, err := with.AdmittedRooms(ctx, id)
		return rooms, a.inTime(ctx, err)
	}
	with, ok := dir.(roomer)
	if !ok {
		return nil, nil
	}
	rooms, err := with.RoomsOf(ctx, id)
	return rooms, a.inTime(ctx, err)
}

// inTime makes an error of an answer that came too late to be current.
func (a *Authenticator) inTime(ctx context.Context, err error) error {
	if err == nil && ctx.Err() != nil {
		return core.Errorf(core.KindUnavailable, "the answer came after %s", a.cfg.Timeout)
	}
	return err
}

// Current says whether a user who connected now would be granted the same.
// Grants of operators and of the process itself are. With an error nobody can say.
func (a *Authenticator) Current(ctx context.Context, g Grant) (bool, error) {
	return a.granted(ctx, g, func(now, then []core.RoomID) bool { return slices.Equal(now, then) })
}

// Covers says whether a user who connected now would be granted at least the
// same: who merely gained a room need not lose the connection at once.
func (a *Authenticator) Covers(ctx context.Context, g Grant) (bool, error) {
	return a.granted(ctx, g, func(now, then []core.RoomID) bool {
		return !slices.ContainsFunc(then, func(r core.RoomID) bool { return !slices.Contains(now, r) })
	})
}

// granted compares what is granted now with what was granted then.
func (a *Authenticator) granted(ctx context.Context, g Grant, enough func(now, then []core.RoomID) bool) (bool, error) {
	id, err := core.ParseUserID(g.Identity)
	if g.Account != AccountBus || g.Who == WhoInternal || a.cfg.Mode == core.BusAuthOff || err != nil {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	dir, err := a.directory()
	if err != nil {
		return false, err
	}
	ok, err := a.authorized(ctx, dir, id)
	if err != nil {
		return false, err
	}
	if !ok { // soft admitted a stranger, and goes on until that one is revoked
		return g.Who == WhoAnonymous && !revoked(ctx, dir, id), nil
	}
	rooms, err := a.rooms(ctx, dir, id)
	if err != nil {
		return false, err
	}
	now, err := userGrant(id, rooms)
	if err != nil {
		return g.Who == WhoAnonymous, nil
	}
	return g.Who == WhoUser && enough(now.Rooms, g.Rooms), nil
}

// WouldAdmit says whether enforce would let a user in who proves this key.
func (a *Authenticator) WouldAdmit(ctx context.Context, id core.UserID) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	dir, err := a.directory()
	if err != nil {
		return false, err
	}
	if ok, err := a.authorized(ctx, dir, id); !ok || err != nil {
		return false, err
	}
	rooms, err := a.rooms(ctx, dir, id)
	if err == nil {
		_, err = userGrant(id, rooms)
	}
	return err == nil, err
}

func unavailable(id core.UserID, err error) *core.Error {
	return core.Errorf(core.KindUnavailable, "nobody can say whether %s is authorized: %w", id.Short(), err).
		WithNext("look at the control plane: unibus-tui status")
}

// withoutIdentity admits where the mode allows it, as somebody whom nobody vouches for, and refuses with the reason elsewhere.
func (a *Authenticator) withoutIdentity(r Request, reason *core.Error) (Grant, error) {
	switch a.cfg.Mode {
	case core.BusAuthOff:
		return anonymousGrant(""), nil
	case core.BusAuthSoft:
		key := ""
		if id, err := core.ParseUserID(r.Key); err == nil {
			key = string(id)
		}
		if a.cfg.OnSoft != nil {
			a.cfg.OnSoft(key, r.Remote, reason)
		}
		return anonymousGrant(key), nil
	default:
		return Grant{}, reason
	}
}

// revoked says whether the directory knows the user and has it revoked. It
// only takes away: where it cannot tell, soft goes on as for somebody unknown.
func revoked(ctx context.Context, dir Directory, id core.UserID) bool {
	who, ok := dir.(teller)
	if !ok {
		return false
	}
	u, err := who.User(ctx, id)
	return err == nil && u.Status == core.UserRevoked
}
