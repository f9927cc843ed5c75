package auth

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// DefaultTimeout bounds the question to the directory. A server gives up a
// connection later than that.
const DefaultTimeout = 2 * time.Second

// Directory knows the users and their rooms. core.StoreHandle is one, and so is
// every store.
type Directory interface {
	// Admit returns a user's status and rooms as of one moment; it believes
	// neither beside an error. One method, so that a wrapper cannot separate the
	// answer from its proof.
	Admit(ctx context.Context, id core.UserID) (core.Admission, error)
}

// Config configures an Authenticator.
type Config struct {
	Mode        core.BusAuth // anything but off and soft is enforce
	Operators   []core.Operator
	ViewerVerbs []string         // the admin verbs a viewer may send; empty: all, and the service refuses
	Internal    map[string]Grant // this process's own identities by public key, accepted from the pipe alone
	Users       Directory        // nil: no user is known

	// OnSoft is called for every connection that soft mode admits and enforce would
	// refuse, with the key that was proven ("" without one), the remote address and
	// the reason. It must not block.
	OnSoft func(key, remote string, reason *core.Error)
}

// Authenticator decides about connections. It may be used by many goroutines.
type Authenticator struct {
	cfg       Config
	operators atomic.Pointer[map[string]core.Operator]
	removed   atomic.Pointer[map[string]bool] // keys that are refused, also if they are configured or in the directory; nil: none
}

// Request describes a connection that asks to be admitted.
type Request struct {
	Key                 string // the nkey that it presented, "" without one
	Nonce               []byte // the nonce that the server gave it to sign
	Signature           []byte // raw, 64 bytes
	Pipe                bool   // it comes from inside this process
	Remote              string // its address, for reasons and records
	HasOtherCredentials bool   // a JWT, user, password or token was presented
	WantAccount         string // it asked for an account by name
}

// New makes an Authenticator. An operator without a usable key or role is never
// admitted.
func New(cfg Config) *Authenticator {
	cfg.Internal = maps.Clone(cfg.Internal)
	a := &Authenticator{cfg: cfg}
	a.SetOperators(cfg.Operators)
	return a
}

// SetOperators replaces the operators. Open connections stay as they are: the
// caller that removes an operator ends its sessions too.
func (a *Authenticator) SetOperators(ops []core.Operator) {
	table := operatorTable(ops)
	a.operators.Store(&table)
}

// OperatorGrants are the grants of the operators as configured now, without those
// of an unknown role, which may do nothing.
func (a *Authenticator) OperatorGrants() []Grant {
	var grants []Grant
	for _, op := range *a.operators.Load() {
		if g, err := operatorGrant(op, a.cfg.ViewerVerbs); err == nil {
			grants = append(grants, g)
		}
	}
	return grants
}

// SetRemoved replaces the keys of operators that were removed by command. They are
// refused in every mode, also if a configuration or the directory has them.
func (a *Authenticator) SetRemoved(keys []string) {
	table := make(map[string]bool, len(keys))
	for _, key := range keys {
		table[key] = true
	}
	a.removed.Store(&table)
}

// Decide says what a connection may do. A refusal is an *core.Error with the
// reason: KindInvalid for malformed credentials, KindUnavailable where the
// directory could not be asked, KindRefused otherwise.
func (a *Authenticator) Decide(ctx context.Context, r Request) (Grant, error) {
	switch {
	case r.HasOtherCredentials:
		return Grant{}, refuse(ReasonCredentials, "a JWT, user, password or token was presented; only nkeys are accepted here").
			WithNext("connect with an nkey seed file and nothing else")
	case r.WantAccount != "":
		return Grant{}, refuse(ReasonCredentials, "an account was requested by name; the key decides the account")
	case r.Key == "" && len(r.Signature) > 0:
		return Grant{}, core.Errorf(core.KindInvalid, "a signature was presented without a key")
	case r.Key == "":
		return a.withoutIdentity(r, refuse(ReasonNoIdentity, "no identity was presented").
			WithNext("connect with the nkey seed file of a user or an operator"))
	}
	id, err := verifyKey(r)
	if err != nil {
		return Grant{}, err
	}
	if g, ok := a.cfg.Internal[string(id)]; ok {
		return internalGrant(g, id, r)
	}
	if removed := a.removed.Load(); removed != nil && (*removed)[string(id)] {
		return Grant{}, refuse(ReasonRemoved, "the operator's key %s was removed", id.Short()).
			WithNext("make a new key with `unibusd keygen operator --out FILE`; a removed one stays removed")
	}
	if op, ok := (*a.operators.Load())[string(id)]; ok {
		if op.Ended(core.MillisOf(time.Now())) {
			return Grant{}, ended(op)
		}
		return operatorGrant(op, a.cfg.ViewerVerbs)
	}
	return a.user(ctx, id, r)
}

// verifyKey checks that the connection holds the key it presented. Every decision by
// key comes after it.
func verifyKey(r Request) (core.UserID, error) {
	id, err := core.ParseUserID(r.Key)
	if err != nil {
		return "", core.Errorf(core.KindInvalid, "the key that was presented is not a user's public nkey").
			WithNext("connect with a seed file that `unibusd keygen` wrote")
	}
	if len(r.Nonce) == 0 {
		return "", refuse(ReasonSignature, "there was no nonce for %s to sign", id.Short())
	}
	kp, err := nkeys.FromPublicKey(string(id))
	if err != nil {
		return "", core.Errorf(core.KindInvalid, "the key that was presented is not a user's public nkey")
	}
	if err := kp.Verify(r.Nonce, r.Signature); err != nil {
		return "", refuse(ReasonSignature, "the signature of %s is wrong", id.Short()).
			WithNext("check that the seed belongs to this key, and that no proxy between client and server changes messages")
	}
	return id, nil
}

func internalGrant(g Grant, id core.UserID, r Request) (Grant, error) {
	if !r.Pipe {
		return Grant{}, core.Errorf(core.KindRefused, "an internal identity came over the network from %s", r.Remote).
			WithNext("find out how: these keys never leave the memory of the process")
	}
	g.Kind, g.Identity = KindInternal, string(id)
	return g, nil
}

// user decides about a proven key that is neither internal nor an operator's.
func (a *Authenticator) user(ctx context.Context, id core.UserID, r Request) (Grant, error) {
	if a.cfg.Mode == core.BusAuthOff {
		return anonymousGrant(string(id)), nil
	}
	now := core.MillisOf(time.Now())
	admission, err := a.admit(ctx, id)
	if err == nil && !admission.IsActive(now) && a.refuses(admission) {
		admission, err = a.admit(core.AsOf(ctx, time.Now()), id) // a refusal is final to many clients: it rests on no older answer
	}
	switch {
	case err != nil:
		return a.withoutIdentity(r, unavailable(id, err))
	case admission.IsActive(now):
		g, err := userGrant(id, admission.Rooms)
		if err != nil {
			return a.withoutIdentity(r, core.AsError(err))
		}
		return g, nil
	case a.cfg.Mode == core.BusAuthSoft && admission.Status == core.UserRevoked:
		return Grant{}, refuse(ReasonUser, "the user %s is revoked", id.Short()).
			WithNext("an administrator can activate it again: unibusd user activate %s", id)
	case admission.Expired(now) && admission.Status == core.UserActive:
		reason := expired(id, admission.Expires)
		if a.cfg.Mode == core.BusAuthSoft {
			return Grant{}, reason
		}
		return a.withoutIdentity(r, reason)
	}
	return a.withoutIdentity(r, refuse(ReasonUser, "the user %s is unknown or revoked", id.Short()).
		WithNext("add it, or look at its state: unibusd user get %s", id))
}

// refuses says whether a user who is not active is refused: soft mode admits those whom
// the directory does not know.
func (a *Authenticator) refuses(not core.Admission) bool {
	return a.cfg.Mode != core.BusAuthSoft || not.Status != ""
}

// admit asks the directory once, within the timeout. An answer that came too late
// to be current is an error.
func (a *Authenticator) admit(ctx context.Context, id core.UserID) (core.Admission, error) {
	if a.cfg.Users == nil {
		return core.Admission{}, core.Errorf(core.KindUnavailable, "this node has no directory of users")
	}
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	admission, err := a.cfg.Users.Admit(ctx, id)
	if err == nil && ctx.Err() != nil {
		err = core.Errorf(core.KindUnavailable, "the answer came after %s", DefaultTimeout)
	}
	if err != nil {
		return core.Admission{}, err
	}
	return admission, nil
}

// Current is true where a user who connected now would be granted the same. Grants
// of operators and of the process itself always are. With an error the answer is
// unknown.
func (a *Authenticator) Current(ctx context.Context, g Grant) (bool, error) {
	return a.granted(ctx, g, func(now, before []core.RoomID) bool { return slices.Equal(now, before) })
}

// Covers is true where a user who connected now would be granted at least the
// same: a user who gained a room need not lose the connection at once.
func (a *Authenticator) Covers(ctx context.Context, g Grant) (bool, error) {
	return a.granted(ctx, g, func(now, before []core.RoomID) bool {
		return !slices.ContainsFunc(before, func(r core.RoomID) bool { return !slices.Contains(now, r) })
	})
}

// granted compares the rooms that are granted now with those of an earlier grant.
func (a *Authenticator) granted(ctx context.Context, g Grant, enough func(now, before []core.RoomID) bool) (bool, error) {
	id, err := core.ParseUserID(g.Identity)
	if g.Account != AccountBus || g.Kind == KindInternal || a.cfg.Mode == core.BusAuthOff || err != nil {
		return true, nil
	}
	admission, err := a.admit(ctx, id)
	if err != nil {
		return false, err
	}
	if !admission.IsActive(core.MillisOf(time.Now())) { // soft mode admitted an unknown user: the session goes on until the user is denied
		return g.Kind == KindAnonymous && admission.Status == "", nil
	}
	now, err := userGrant(id, admission.Rooms)
	if err != nil {
		return g.Kind == KindAnonymous, nil
	}
	return g.Kind == KindUser && enough(now.Rooms, g.Rooms), nil
}

// WouldAdmit is true where enforce would admit a user who proves this key.
func (a *Authenticator) WouldAdmit(ctx context.Context, id core.UserID) (bool, error) {
	admission, err := a.admit(ctx, id)
	if err != nil || !admission.IsActive(core.MillisOf(time.Now())) {
		return false, err
	}
	_, err = userGrant(id, admission.Rooms)
	return err == nil, err
}

func unavailable(id core.UserID, err error) *core.Error {
	return core.Errorf(core.KindUnavailable, "cannot determine whether %s is authorized: %w", id.Short(), err).
		WithNext("check the control plane: unibus-tui status")
}

// withoutIdentity admits as anonymous where the mode allows it, and refuses with
// the reason elsewhere.
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

// operatorTable is looked up by the canonical key. An invalid key can never be
// proven and is left out. Of two entries with one key the first counts:
// core/config refuses the second.
func operatorTable(ops []core.Operator) map[string]core.Operator {
	table := make(map[string]core.Operator, len(ops))
	for _, op := range ops {
		op.Key = strings.ToUpper(op.Key)
		if _, err := core.ParseUserID(op.Key); err != nil {
			continue
		}
		if _, taken := table[op.Key]; !taken {
			table[op.Key] = op
		}
	}
	return table
}

// expired refuses a user whose time is over.
func expired(id core.UserID, at core.Millis) *core.Error {
	return refuse(ReasonExpired, "the user %s ended at %s", id.Short(), at.Time().Format(time.DateTime+" UTC")).
		WithNext("an administrator can give it more time: unibusd user extend %s --expires 90d", id)
}

// ended refuses an operator whose key has an end that is over.
func ended(op core.Operator) error {
	return refuse(ReasonExpired, "the key of the operator %s ended at %s", op.Name, op.NotAfter.Time().UTC().Format(time.DateTime+" UTC")).
		WithNext("an admin gives it a later not-after in the nodes' configuration, or a new key: `unibusd keygen operator --out FILE`")
}
