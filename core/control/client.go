package control

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/binding"
	"unibus/core/request"
)

// ClientConfig says over which connection to ask, and as whom.
type ClientConfig struct {
	Conn       *nats.Conn  // with auth.InboxPrefix(key) as its inbox prefix; the client does not close it
	Identity   auth.Signer // the one that the connection was made with
	Timeout    time.Duration
	Now        func() time.Time // the clock that requests are signed by; nil: time.Now
	ClusterKey string           // the cluster's public key, which it must prove; "" takes the one that it proves first
}

// Client asks the control service. Safe for use by several goroutines. Errors
// are *core.Error: those of the service, KindUnavailable where no node answered,
// and then the outcome of what changes something is not known.
type Client struct {
	cfg      ClientConfig
	requests *request.Client
}

// defaultTimeout leaves the service time to answer with what went wrong.
const defaultTimeout = requestTimeout + time.Second

// NewClient does no I/O.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	return &Client{cfg: cfg, requests: request.NewClient(request.ClientConfig{
		Conn: cfg.Conn, Identity: cfg.Identity, ClusterKey: cfg.ClusterKey, Now: cfg.Now,
	})}
}

// Identify has the cluster prove its key over this connection, and returns it.
// KindRefused where it does not: then nothing more may be sent.
func (c *Client) Identify(ctx context.Context) (string, error) {
	err := c.requests.Identify(ctx, func(ctx context.Context, req binding.Request) (binding.Proof, error) {
		return ask[binding.Proof](ctx, c, methodIdentify, req)
	})
	return c.requests.ClusterKey(), err
}

// ask sends one request and decodes the reply. It is bounded by Timeout and ctx.
func ask[Reply any](ctx context.Context, c *Client, m Method, req any) (Reply, error) {
	out, err := exchange[Reply](ctx, c, m, req)
	if !Rules()[m].Acts {
		err = core.ReadError(err)
	}
	return out, err
}

func exchange[Reply any](ctx context.Context, c *Client, m Method, req any) (Reply, error) {
	var out Reply
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	msg, err := c.message(m, req)
	if err != nil {
		return out, err
	}
	answer, err := c.requests.Send(ctx, msg)
	if err != nil {
		return out, request.Unanswered(string(m), Rules()[m].Acts, err)
	}
	var r reply
	if err := json.Unmarshal(answer.Data, &r); err != nil || r.V != version {
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
func (c *Client) message(m Method, req any) (request.Message, error) {
	msg := request.Message{Subject: Subject(c.cfg.Identity.Public(), m), Signed: Rules()[m].Acts}
	if m != methodIdentify {
		msg.Prove = func(ctx context.Context) error { _, err := c.Identify(ctx); return err }
	}
	outer := question{V: version}
	if req != nil {
		body, err := json.Marshal(req)
		if err != nil {
			return msg, core.Errorf(core.KindInvalid, "the request %s cannot be encoded: %w", m, err)
		}
		outer.Req = body
	}
	msg.Body, _ = json.Marshal(outer) // what is inside was encoded already
	return msg, nil
}

// CreateRoom makes a room that the caller owns; with an empty id one is made up.
// Asking again with the same id after an unknown outcome goes on where it stopped.
func (c *Client) CreateRoom(ctx context.Context, req CreateRequest) (core.Room, error) {
	if req.ID == "" {
		req.ID = string(NewRoomID())
	}
	return ask[core.Room](ctx, c, methodRoomCreate, req)
}

// Room is a room and what the caller is in it.
func (c *Client) Room(ctx context.Context, room core.RoomID) (RoomInfo, error) {
	return ask[RoomInfo](ctx, c, methodRoomGet, roomRequest{string(room)})
}

// Rooms are all rooms of the caller.
func (c *Client) Rooms(ctx context.Context) ([]core.Room, error) {
	return request.All(func(after string) ([]core.Room, string, error) {
		got, err := ask[roomsPage](ctx, c, methodRooms, request.Page{After: after})
		return got.Rooms, got.Next, err
	})
}

// RenameRoom gives a room another name.
func (c *Client) RenameRoom(ctx context.Context, room core.RoomID, name string) (core.Room, error) {
	return ask[core.Room](ctx, c, methodRoomRename, renameRequest{string(room), name})
}

// ArchiveRoom ends a room: nothing is changed in it any more.
func (c *Client) ArchiveRoom(ctx context.Context, room core.RoomID) (core.Room, error) {
	return ask[core.Room](ctx, c, methodRoomArchive, roomRequest{string(room)})
}

// Members are all active members of a room, with their published keys where keys is true.
func (c *Client) Members(ctx context.Context, room core.RoomID, keys bool) ([]Member, error) {
	return request.All(func(after string) ([]Member, string, error) {
		got, err := ask[membersPage](ctx, c, methodMembers, membersRequest{Page: request.Page{After: after}, Room: string(room), Keys: keys})
		return got.Members, got.Next, err
	})
}

// Member is one active member of a room, with the published key where keys is true. KindNotFound.
func (c *Client) Member(ctx context.Context, room core.RoomID, user core.UserID, keys bool) (Member, error) {
	if user == "" {
		return Member{}, core.Errorf(core.KindInvalid, "no user is named")
	}
	page, err := ask[membersPage](ctx, c, methodMembers, membersRequest{
		Page: request.Page{After: string(user[:len(user)-1]), Limit: 1}, Room: string(room), Keys: keys, // the next one after its own beginning
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
	return ask[core.Member](ctx, c, methodInvite, inviteRequest{Room: string(room), User: string(user), Role: role, Proof: proof})
}

// Accept makes a member of the caller, who is invited. KindNotFound without an invitation.
func (c *Client) Accept(ctx context.Context, room core.RoomID) (core.Member, error) {
	return ask[core.Member](ctx, c, methodAccept, roomRequest{string(room)})
}

// Decline turns an invitation down. KindNotFound without one.
func (c *Client) Decline(ctx context.Context, room core.RoomID) (core.Member, error) {
	return ask[core.Member](ctx, c, methodDecline, roomRequest{string(room)})
}

// Invitations are those that the caller has not answered yet.
func (c *Client) Invitations(ctx context.Context) ([]Invitation, error) {
	return request.All(func(after string) ([]Invitation, string, error) {
		got, err := ask[invitationsPage](ctx, c, methodInvitations, request.Page{After: after})
		return got.Invitations, got.Next, err
	})
}

// Remove takes a member out of a room.
func (c *Client) Remove(ctx context.Context, room core.RoomID, user core.UserID) (core.Member, error) {
	return ask[core.Member](ctx, c, methodRemove, memberRequest{string(room), string(user)})
}

// Leave takes the caller out of a room. KindRefused for its owner.
func (c *Client) Leave(ctx context.Context, room core.RoomID) (core.Member, error) {
	return ask[core.Member](ctx, c, methodLeave, roomRequest{string(room)})
}

// SetRole changes a member's role; owner hands the room over.
func (c *Client) SetRole(ctx context.Context, room core.RoomID, user core.UserID, role core.MemberRole) (core.Member, error) {
	return ask[core.Member](ctx, c, methodRole, roleRequest{string(room), string(user), role})
}

// Statements is a page of the statements about a room's members, from a number on.
// KindNotFound for a room whose members sign nothing.
func (c *Client) Statements(ctx context.Context, req StatementsRequest) (Statements, error) {
	return ask[Statements](ctx, c, methodStatements, req)
}

// AppendStatements appends statements that the caller has signed, all or none.
// KindConflict where another member's came first: read them and sign again.
func (c *Client) AppendStatements(ctx context.Context, room core.RoomID, statements ...[]byte) (ChainHead, error) {
	return ask[ChainHead](ctx, c, methodAppend, appendRequest{string(room), statements})
}

// FoundAnew founds a room whose members signed nothing so far. KindExists for a room with
// a chain, KindConflict where the members are others than those of the snapshot.
func (c *Client) FoundAnew(ctx context.Context, req FoundAnewRequest) (ChainHead, error) {
	return ask[ChainHead](ctx, c, methodFoundAnew, req)
}

// PublishKey publishes the key to which the caller's boxes are sealed.
func (c *Client) PublishKey(ctx context.Context, key []byte) (Profile, error) {
	return ask[Profile](ctx, c, methodKEMKey, kemKeyRequest{key})
}

// Key is the caller's box of an epoch, with its record. KindNotFound.
func (c *Client) Key(ctx context.Context, room core.RoomID, epoch core.Epoch) (Key, error) {
	return ask[Key](ctx, c, methodKey, keyRequest{string(room), epoch})
}

// GiveKey stores a box of the present epoch for a member who was invited later.
// KindConflict where the room is elsewhere by now, KindExists where there is one.
func (c *Client) GiveKey(ctx context.Context, k core.SealedKey) (core.Room, error) {
	return ask[core.Room](ctx, c, methodBox, boxRequest{Box: Box{string(k.User), k.Box}, Room: string(k.Room), Epoch: k.Epoch, Rec: k.Rec})
}

// Rekey brings the boxes in parts and then moves the room to record's epoch: all
// or nothing. KindConflict where another member was faster, or a box is for
// a user who is no member any more: read room and members again.
func (c *Client) Rekey(ctx context.Context, record core.EpochRecord, keys []core.SealedKey) (core.Room, error) {
	if record.Epoch == 0 {
		return core.Room{}, core.Errorf(core.KindInvalid, "a rekey cannot lead to epoch 0")
	}
	for rest := keys; len(rest) > 0; {
		part, size := rekeyPart{Room: string(record.Room), From: record.Epoch - 1, Rec: record.Rec}, 0
		for _, k := range rest {
			size += len(k.Box) + len(k.User)
			if len(part.Boxes) == maxPartRows || len(part.Boxes) > 0 && size > maxPart {
				break
			}
			part.Boxes = append(part.Boxes, Box{string(k.User), k.Box})
		}
		rest = rest[len(part.Boxes):]
		if _, err := c.rekeyPart(ctx, part); err != nil {
			return core.Room{}, err
		}
	}
	return c.rekeyCommit(ctx, rekeyCommit{Room: string(record.Room), From: record.Epoch - 1, Rec: record.Rec, Boxes: len(keys), Record: record.Record})
}

// rekeyPart brings some boxes of a rekey; see Rekey.
func (c *Client) rekeyPart(ctx context.Context, part rekeyPart) (staged, error) {
	return ask[staged](ctx, c, methodRekeyPart, part)
}

// rekeyCommit ends a rekey; see Rekey.
func (c *Client) rekeyCommit(ctx context.Context, req rekeyCommit) (core.Room, error) {
	return ask[core.Room](ctx, c, methodRekeyCommit, req)
}

// Epochs is one page of the room's records, the newest first.
func (c *Client) Epochs(ctx context.Context, req EpochsRequest) (Epochs, error) {
	return ask[Epochs](ctx, c, methodEpochs, req)
}

// User is what every user may know of another. KindNotFound.
func (c *Client) User(ctx context.Context, user core.UserID) (Profile, error) {
	return ask[Profile](ctx, c, methodUserGet, userRequest{string(user)})
}

// AddUser adds a user; the caller is a user-admin.
func (c *Client) AddUser(ctx context.Context, req AddUserRequest) (core.User, error) {
	return ask[core.User](ctx, c, methodUserAdd, req)
}

// RevokeUser denies a user and ends their sessions; the caller is a user-admin.
func (c *Client) RevokeUser(ctx context.Context, user core.UserID) (Revoked, error) {
	return ask[Revoked](ctx, c, methodUserRevoke, userRequest{string(user)})
}

// ActivateUser admits a user again; the caller is a user-admin.
func (c *Client) ActivateUser(ctx context.Context, user core.UserID) (core.User, error) {
	return ask[core.User](ctx, c, methodUserActivate, userRequest{string(user)})
}

// ParseEvent reads what the service announces at EventSubject. KindInvalid.
func ParseEvent(msg *nats.Msg) (Event, error) {
	var e Event
	if err := json.Unmarshal(msg.Data, &e); err != nil || e.V != version || !strings.HasSuffix(msg.Subject, "._control") || msg.Subject != EventSubject(e.Room) {
		return Event{}, core.Errorf(core.KindInvalid, "the message on %s is not an event of the control service", msg.Subject)
	}
	return e, nil
}
