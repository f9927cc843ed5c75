package control

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/binding"
)

// Signer is a user's identity; core/keys reads one from a seed file.
type Signer interface {
	Public() string
	Sign(data []byte) ([]byte, error)
}

// ClientConfig says over which connection to ask, and as whom.
type ClientConfig struct {
	Conn     *nats.Conn // with InboxPrefix(key) as its inbox prefix; the client does not close it
	Identity Signer     // the one that the connection was made with
	Timeout  time.Duration
	Now      func() time.Time // the clock that requests are signed by; nil: time.Now
	Cluster  string           // the cluster's public key, which it must prove; "" takes the one that it proves first
}

// Client asks the control service. Safe for use by several goroutines. Errors
// are *core.Error: those of the service, KindUnavailable where nobody answered,
// and then the outcome of what changes something is not known.
type Client struct {
	cfg  ClientConfig
	bind *binding.Binding
}

// defaultTimeout leaves the service time to answer with what went wrong.
const defaultTimeout = requestTimeout + time.Second

// NewClient does no I/O.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Client{cfg: cfg, bind: binding.New(cfg.Conn, cfg.Identity, cfg.Cluster)}
}

// Identify has the cluster prove its key over this connection, and returns it.
// KindRefused where it does not: then nothing more may be sent.
func (c *Client) Identify(ctx context.Context) (string, error) {
	err := c.bind.Prove(ctx, func(ctx context.Context, req binding.Request) (binding.Proof, error) {
		return ask[binding.Proof](ctx, c, MethodIdentify, req)
	})
	return c.bind.Key(), err
}

// ask sends one request and decodes the reply. It is bounded by Timeout and ctx.
func ask[Reply any](ctx context.Context, c *Client, m Method, req any) (Reply, error) {
	var out Reply
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	answer, err := c.bind.Within(func() (*nats.Msg, error) {
		msg, err := c.message(ctx, m, req)
		if err != nil {
			return nil, err
		}
		return c.cfg.Conn.RequestMsgWithContext(ctx, msg)
	})
	if err != nil {
		return out, askError(m, err)
	}
	var r reply
	if err := json.Unmarshal(answer.Data, &r); err != nil || r.V != Version {
		return out, notExpected(m)
	}
	if r.Error != nil {
		return out, r.Error
	}
	if err := json.Unmarshal(r.Reply, &out); err != nil {
		return out, notExpected(m)
	}
	return out, nil
}

func notExpected(m Method) error {
	return core.Errorf(core.KindFailed, "the answer to %s is not what this version expects", m).WithNext("compare the versions here and on the nodes")
}

// message is a request, signed where it changes something.
func (c *Client) message(ctx context.Context, m Method, req any) (*nats.Msg, error) {
	outer := request{V: Version}
	if req != nil {
		body, err := json.Marshal(req)
		if err != nil {
			return nil, core.Errorf(core.KindInvalid, "the request %s cannot be encoded: %w", m, err)
		}
		outer.Req = body
	}
	msg := nats.NewMsg(Subject(c.cfg.Identity.Public(), m))
	msg.Data, _ = json.Marshal(outer) // what is inside was encoded already
	if most := c.cfg.Conn.MaxPayload(); most > 0 && int64(len(msg.Data)) > most {
		return nil, tooLarge("the request "+string(m), len(msg.Data), int(most))
	}
	if m == MethodIdentify {
		return msg, nil
	}
	if !c.bind.Proven() {
		if _, err := c.Identify(ctx); err != nil {
			return nil, err
		}
	}
	if !Rules()[m].Acts {
		return msg, nil
	}
	return msg, c.bind.Sign(msg, c.cfg.Now())
}

func askError(m Method, err error) error {
	switch {
	case errors.As(err, new(*core.Error)):
		return err // it was not even sent
	case errors.Is(err, nats.ErrNoResponders):
		return core.Errorf(core.KindUnavailable, "no node that can be reached serves the control plane; %s was not done", m).
			WithNext("try again; an operator sees why with `unibus-tui status`")
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed):
		return core.Errorf(core.KindUnavailable, "the connection is down: %s was not sent", m).WithNext("try again once it is back")
	case errors.Is(err, nats.ErrMaxPayload):
		return core.Errorf(core.KindInvalid, "the request %s is too large for a message", m).WithNext("send it in parts")
	}
	e := core.Errorf(core.KindUnavailable, "no answer to %s in time: %w", m, err)
	if errors.Is(err, nats.ErrConnectionReconnecting) {
		e = core.Errorf(core.KindUnavailable, "the answer to %s was dropped: the connection was renewed, and the new server had proven nothing", m)
	}
	if Rules()[m].Acts {
		return e.WithNext("whether it took effect is not known: look before you try again")
	}
	return e.WithNext("ask again")
}

// pages asks for page after page, at most maxPages.
func pages[Reply, T any](ctx context.Context, c *Client, m Method, req func(after string) any, cut func(Reply) (entries []T, next string)) ([]T, error) {
	all, after := []T{}, ""
	for range maxPages {
		got, err := ask[Reply](ctx, c, m, req(after))
		if err != nil {
			return nil, err
		}
		entries, next := cut(got)
		all = append(all, entries...)
		if next == "" {
			return all, nil
		}
		after = next
	}
	return nil, core.Errorf(core.KindFailed, "the answer to %s does not end after %d pages", m, maxPages)
}

const maxPages = 10_000

// CreateRoom makes a room that the caller owns; with an empty id one is made up.
// Asking
// again with the same id after an unknown outcome goes on where it stopped.
func (c *Client) CreateRoom(ctx context.Context, req CreateRequest) (core.Room, error) {
	if req.ID == "" {
		req.ID = string(NewRoomID())
	}
	return ask[core.Room](ctx, c, MethodRoomCreate, req)
}

// Room is a room and what the caller is in it.
func (c *Client) Room(ctx context.Context, room core.RoomID) (RoomInfo, error) {
	return ask[RoomInfo](ctx, c, MethodRoomGet, RoomRequest{string(room)})
}

// Rooms are all rooms of the caller.
func (c *Client) Rooms(ctx context.Context) ([]core.Room, error) {
	return pages(ctx, c, MethodRooms, func(after string) any { return Page{After: after} },
		func(r Rooms) ([]core.Room, string) { return r.Rooms, r.Next })
}

// RenameRoom gives a room another name.
func (c *Client) RenameRoom(ctx context.Context, room core.RoomID, name string) (core.Room, error) {
	return ask[core.Room](ctx, c, MethodRoomRename, RenameRequest{string(room), name})
}

// ArchiveRoom ends a room: nothing is changed in it any more.
func (c *Client) ArchiveRoom(ctx context.Context, room core.RoomID) (core.Room, error) {
	return ask[core.Room](ctx, c, MethodRoomArchive, RoomRequest{string(room)})
}

// Members are all active members of a room, with their published keys where keys is true.
func (c *Client) Members(ctx context.Context, room core.RoomID, keys bool) ([]Member, error) {
	return pages(ctx, c, MethodMembers, func(after string) any {
		return MembersRequest{Page: Page{After: after}, Room: string(room), Keys: keys}
	}, func(r Members) ([]Member, string) { return r.Members, r.Next })
}

// Member is one active member of a room, with the published key where keys is true. KindNotFound.
func (c *Client) Member(ctx context.Context, room core.RoomID, user core.UserID, keys bool) (Member, error) {
	if user == "" {
		return Member{}, core.Errorf(core.KindInvalid, "no user is named")
	}
	page, err := ask[Members](ctx, c, MethodMembers, MembersRequest{
		Page: Page{After: string(user[:len(user)-1]), Limit: 1}, Room: string(room), Keys: keys, // the next one after its own beginning
	})
	if err != nil {
		return Member{}, err
	}
	if len(page.Members) != 1 || page.Members[0].User != user {
		return Member{}, core.Errorf(core.KindNotFound, "%s is not a member of the room %s", user.Short(), room)
	}
	return page.Members[0], nil
}

// Invite puts a user into a room. role "" is member; proof may be nil.
func (c *Client) Invite(ctx context.Context, room core.RoomID, user core.UserID, role core.MemberRole, proof []byte) (core.Member, error) {
	return ask[core.Member](ctx, c, MethodInvite, InviteRequest{Room: string(room), User: string(user), Role: role, Proof: proof})
}

// Accept makes a member of the caller, who is invited. KindNotFound without an invitation.
func (c *Client) Accept(ctx context.Context, room core.RoomID) (core.Member, error) {
	return ask[core.Member](ctx, c, MethodAccept, RoomRequest{string(room)})
}

// Decline turns an invitation down. KindNotFound without one.
func (c *Client) Decline(ctx context.Context, room core.RoomID) (core.Member, error) {
	return ask[core.Member](ctx, c, MethodDecline, RoomRequest{string(room)})
}

// Invitations are those that the caller has not answered yet.
func (c *Client) Invitations(ctx context.Context) ([]Invitation, error) {
	return pages(ctx, c, MethodInvitations, func(after string) any { return Page{After: after} },
		func(got Invitations) ([]Invitation, string) { return got.Invitations, got.Next })
}

// Remove takes a member out of a room.
func (c *Client) Remove(ctx context.Context, room core.RoomID, user core.UserID) (core.Member, error) {
	return ask[core.Member](ctx, c, MethodRemove, MemberRequest{string(room), string(user)})
}

// Leave takes the caller out of a room. KindRefused for its owner.
func (c *Client) Leave(ctx context.Context, room core.RoomID) (core.Member, error) {
	return ask[core.Member](ctx, c, MethodLeave, RoomRequest{string(room)})
}

// SetRole changes a member's role; owner hands the room over.
func (c *Client) SetRole(ctx context.Context, room core.RoomID, user core.UserID, role core.MemberRole) (core.Member, error) {
	return ask[core.Member](ctx, c, MethodRole, RoleRequest{string(room), string(user), role})
}

// PublishKey publishes the key to which the caller's boxes are sealed.
func (c *Client) PublishKey(ctx context.Context, key []byte) (Profile, error) {
	return ask[Profile](ctx, c, MethodKEMKey, KEMKeyRequest{key})
}

// Key is the caller's box of an epoch, with its record. KindNotFound.
func (c *Client) Key(ctx context.Context, room core.RoomID, epoch core.Epoch) (Key, error) {
	return ask[Key](ctx, c, MethodKey, KeyRequest{string(room), epoch})
}

// GiveKey stores a box of the present epoch for a member who was invited later.
// KindConflict where the room is elsewhere by now, KindExists where there is one.
func (c *Client) GiveKey(ctx context.Context, k core.SealedKey) (core.Room, error) {
	return ask[core.Room](ctx, c, MethodBox, BoxRequest{Box: Box{string(k.User), k.Box}, Room: string(k.Room), Epoch: k.Epoch, Rec: k.Rec})
}

// Rekey brings the boxes in parts and then moves the room to record's epoch: all
// or nothing. KindConflict where somebody else was faster, or a box is for
// somebody who is no member any more: read room and members again.
func (c *Client) Rekey(ctx context.Context, record core.EpochRecord, keys []core.SealedKey) (core.Room, error) {
	if record.Epoch == 0 {
		return core.Room{}, core.Errorf(core.KindInvalid, "a rekey cannot lead to epoch 0")
	}
	for rest := keys; len(rest) > 0; {
		part, size := RekeyPart{Room: string(record.Room), From: record.Epoch - 1, Rec: record.Rec}, 0
		for _, k := range rest {
			size += len(k.Box) + len(k.User)
			if len(part.Boxes) == MaxPartRows || len(part.Boxes) > 0 && size > MaxPart {
				break
			}
			part.Boxes = append(part.Boxes, Box{string(k.User), k.Box})
		}
		rest = rest[len(part.Boxes):]
		if _, err := c.RekeyPart(ctx, part); err != nil {
			return core.Room{}, err
		}
	}
	return c.RekeyCommit(ctx, RekeyCommit{Room: string(record.Room), From: record.Epoch - 1, Rec: record.Rec, Boxes: len(keys), Record: record.Record})
}

// RekeyPart brings some boxes of a rekey; see Rekey.
func (c *Client) RekeyPart(ctx context.Context, part RekeyPart) (Staged, error) {
	return ask[Staged](ctx, c, MethodRekeyPart, part)
}

// RekeyCommit ends a rekey; see Rekey.
func (c *Client) RekeyCommit(ctx context.Context, req RekeyCommit) (core.Room, error) {
	return ask[core.Room](ctx, c, MethodRekeyCommit, req)
}

// Epochs is one page of the room's records, the newest first.
func (c *Client) Epochs(ctx context.Context, req EpochsRequest) (Epochs, error) {
	return ask[Epochs](ctx, c, MethodEpochs, req)
}

// User is what every user may know of another. KindNotFound.
func (c *Client) User(ctx context.Context, user core.UserID) (Profile, error) {
	return ask[Profile](ctx, c, MethodUserGet, UserRequest{string(user)})
}

// AddUser adds a user; the caller is a user-admin.
func (c *Client) AddUser(ctx context.Context, req AddUserRequest) (core.User, error) {
	return ask[core.User](ctx, c, MethodUserAdd, req)
}

// RevokeUser denies a user and ends their sessions; the caller is a user-admin.
func (c *Client) RevokeUser(ctx context.Context, user core.UserID) (Revoked, error) {
	return ask[Revoked](ctx, c, MethodUserRevoke, UserRequest{string(user)})
}

// ActivateUser admits a user again; the caller is a user-admin.
func (c *Client) ActivateUser(ctx context.Context, user core.UserID) (core.User, error) {
	return ask[core.User](ctx, c, MethodUserActivate, UserRequest{string(user)})
}

// ParseEvent reads what the service announces at EventSubject. KindInvalid.
func ParseEvent(msg *nats.Msg) (Event, error) {
	var e Event
	if err := json.Unmarshal(msg.Data, &e); err != nil || e.V != Version || !strings.HasSuffix(msg.Subject, "._control") || msg.Subject != EventSubject(e.Room) {
		return Event{}, core.Errorf(core.KindInvalid, "what came at %s is no event of the control service", msg.Subject)
	}
	return e, nil
}
