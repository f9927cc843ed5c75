// Package client is what a Go program imports to use the bus: rooms, messages,
// members, and encryption done for the caller.
//
//	c := client.New(client.Config{Servers: servers, Seed: "ann.nk"})
//	if err := c.Open(ctx); err != nil { … }
//	defer c.Close()
//	room, err := c.CreateRoom(ctx, client.NewRoom{Name: "plans", Encrypted: true})
//
// A Client keeps one connection and comes back by itself when a node dies, on
// whichever of its servers admits it. A Room is a room that this process has
// open: it follows the room's keys (core/seal), makes a new one when one is due,
// and gives the present one to members who have none. Whatever a node says about
// keys is checked; what does not fit is an error whose cause is a seal.Fault, and
// nothing is sent in the room while it lasts.
//
// Messages are delivered at most once, as everywhere on NATS without JetStream:
// what is sent while a receiver is away does not come later. A session also ends,
// for a tenth of a second, when its user gains or loses a room; Disconnected and
// Connected tell of it, and in encrypted rooms Message.Missing counts what was
// missed. What a reader was too slow for is counted and said where it is missing
// (ErrSlow); what the process as a whole was too slow for, before what waited then.
//
// Until somebody reads in a plain room, only what the service says of it comes to
// this process: one that merely speaks is not sent what all others say.
//
// While there is no session, calls wait for one. Where the nodes have refused this
// user for seven seconds, as one that was revoked, they say so at once (ErrRefused),
// and so does Refused; the client goes on trying, and Connected says that it was let in again.
//
// What reads is asked for again until it is answered, ctx ends or Timeout is
// over. So is a change that is the same when it is made twice: making, inviting,
// removing, leaving, archiving, publishing, giving a key, revoking. Roles, names,
// activating and adding a user are asked for once, because a second time might undo what somebody
// else did meanwhile; KindUnavailable says then that the outcome is not known.
//
// A member without a box says so in the room, in a message of its own kind that
// is no envelope of core/seal: byte 0xFF and "unibus.client.plea.v1". Whoever has
// the key looks up whether the sender is a member, waits a little for others of a
// higher role, and gives it.
//
// Members are those whom the nodes name. A node that adds a user of its own to a
// room is given the room's key by the next member who makes one or is asked for
// it, unless Config.Admit says no; the rest of what is not protected is in section 9 of core/seal/DESIGN.md.
//
// Errors are *core.Error. Where a program has to tell one case from another the
// cause is a Fault of this package or of core/seal: errors.Is(err, client.ErrNotMember).
package client
