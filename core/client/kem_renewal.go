package client

import (
	"context"
	"errors"
	"time"

	"unibus/core"
	"unibus/core/control"
	"unibus/core/seal"
)

// RenewKey replaces this user's encryption key, as the client does by itself every 30
// days. Members seal the keys of later epochs to the new one. Use it after kem.key may
// have been copied, and then Room.Rekey in each room: a thief of the former key reads
// until a room's next epoch. The former key is deleted once no box that is needed was
// sealed to it. If no node answers, the error is KindUnavailable, and the renewal goes on
// by itself. It does not help against a stolen seed.
func (c *Client) RenewKey(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if err := c.checkOpen(); err != nil {
		return err
	}
	c.kemLock.Lock()
	defer c.kemLock.Unlock()
	return c.renewKEM(ctx)
}

// renewKEM makes, publishes and uses another key. The caller holds kemLock. A stop
// anywhere is made good by the next call: the key is on disk before it is published, and
// the former one is on disk beside it before it is replaced.
func (c *Client) renewKEM(ctx context.Context) error {
	next, err := c.kem.prepare()
	if err != nil {
		return err
	}
	if err := c.publish(ctx, next, c.ownKey().Time); err != nil {
		return err
	}
	return c.usePreparedKEM()
}

// usePreparedKEM puts the published key into use, and has the open rooms seal their
// boxes to it.
func (c *Client) usePreparedKEM() error {
	if err := c.kem.use(core.MillisOf(time.Now())); err != nil {
		return err
	}
	c.log.Info("this user's encryption key was renewed", "user", c.me)
	c.each((*Room).wake)
	return nil
}

// publish signs and publishes a key whose time is later than that of all that are known.
func (c *Client) publish(ctx context.Context, kem *seal.KEM, after core.Millis) error {
	if known, ok := c.dir.peer(c.me); ok {
		after = max(after, known.Time)
	}
	key, err := kem.Publish(c.id, max(core.MillisOf(time.Now()), after+1)) // a clock that is behind must not look like a rollback
	if err != nil {
		return err
	}
	if _, err := sendRetrying(ctx, c, idempotent, func(ctx context.Context) (control.Profile, error) { return c.api.PublishKey(ctx, key) }); err != nil {
		return err
	}
	published, err := seal.ParseKEMKey(c.me, key)
	if err != nil {
		return err
	}
	c.setOwnKey(published)
	return errors.Join(c.dir.checkPeerKey(published), c.dir.savePeers())
}

// publishKEMKey publishes this user's encryption key unless the published one is
// the same. It replaces the key of a lost directory, and one that a node has swapped, and
// completes a renewal that was interrupted.
func (c *Client) publishKEMKey(ctx context.Context) error {
	c.kemLock.Lock()
	defer c.kemLock.Unlock()
	profile, err := sendRetrying(ctx, c, readOnly, func(ctx context.Context) (control.Profile, error) { return c.api.User(ctx, c.me) })
	if err != nil {
		return err
	}
	var after core.Millis
	if len(profile.KEMKey) > 0 {
		shown, err := seal.ParseKEMKey(c.me, profile.KEMKey)
		if err == nil && shown.Hash == c.kem.Hash() && !c.kem.renewing() {
			if err = c.dir.checkPeerKey(shown); err == nil {
				c.setOwnKey(shown)
				return nil
			}
		}
		switch {
		case err != nil:
			c.reportSuspicion("", err)
		case c.kem.renewing():
			after = shown.Time
		default:
			c.log.Warn("another encryption key of this user was published; this client replaces it", "user", c.me)
			after = shown.Time
		}
	}
	if !c.kem.renewing() {
		return c.publish(ctx, c.kem.now(), after)
	}
	next, err := c.kem.prepare()
	if err == nil {
		err = c.publish(ctx, next, after)
	}
	if err == nil {
		err = c.usePreparedKEM()
	}
	return err
}

// careForKeys renews this user's encryption key if it is old, and deletes former ones
// that no box needs any more.
func (c *Client) careForKeys(ctx context.Context) {
	c.kemLock.Lock()
	defer c.kemLock.Unlock()
	now := time.Now()
	err := c.kem.correct(core.MillisOf(now), c.ownKey().Time)
	if err == nil && c.kem.due(now, c.timing.kemEvery, c.ownKey().Time) {
		err = c.renewKEM(ctx)
	}
	if err == nil {
		err = c.forgetFormerKEMs(ctx, now)
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("this user's encryption keys could not be renewed or deleted; trying again", "again", c.timing.keyCareEvery, "error", err)
	}
}

// forgetFormerKEMs deletes the former keys to which no needed box is sealed, and those
// that were replaced longer ago than nodes keep boxes. A node that says that a former key
// is needed cannot keep it alive for longer, and one that fails not for twice as long.
func (c *Client) forgetFormerKEMs(ctx context.Context, now time.Time) error {
	candidates := map[seal.Hash]bool{}
	for _, h := range c.kem.replaced(core.MillisOf(now.Add(-c.timing.kemGrace))) {
		candidates[h] = true
	}
	if len(candidates) == 0 {
		return nil
	}
	needed, failed := c.neededKEMs(ctx)
	longest := c.timing.keyRetention
	if failed != nil {
		longest *= 2
	}
	expired := core.MillisOf(now.Add(-longest))
	n, err := c.kem.forget(func(h seal.Hash, retired core.Millis) bool {
		return retired <= expired || failed == nil && candidates[h] && !needed[h]
	})
	if n > 0 {
		c.log.Info("former encryption keys of this user were deleted", "user", c.me, "keys", n)
	}
	return errors.Join(failed, err)
}

// maxBoxesRead bounds the boxes of one room that are read to find out which former keys
// it needs. In a room with more, all of them count as needed.
const maxBoxesRead = 64

// neededKEMs are the keys to which boxes are sealed that this client has to open yet: in
// each room those from the epoch that it has followed to the present one. It needs the
// earlier ones of them to check the link of the next record.
func (c *Client) neededKEMs(ctx context.Context) (map[seal.Hash]bool, error) {
	rooms, err := sendRetrying(ctx, c, readOnly, func(ctx context.Context) ([]core.Room, error) { return c.api.Rooms(ctx) })
	if err != nil {
		return nil, err
	}
	needed := map[seal.Hash]bool{}
	for _, room := range rooms {
		if !room.Encrypted {
			continue
		}
		if err := c.addNeededKEMs(ctx, room, needed); err != nil {
			return nil, err
		}
	}
	return needed, nil
}

func (c *Client) addNeededKEMs(ctx context.Context, room core.Room, needed map[seal.Hash]bool) error {
	saved, err := c.dir.room(room.ID)
	if err != nil {
		return err
	}
	from := room.Epoch
	if saved.Head != nil {
		from = min(from, saved.Head.Epoch)
	}
	if room.Epoch-from > maxBoxesRead {
		return core.Errorf(core.KindConflict, "the room %s was not opened here for %d epochs, and its boxes are not read", room.ID, room.Epoch-from).
			WithNext("open the room")
	}
	for e := from; e <= room.Epoch; e++ {
		k, err := sendRetrying(ctx, c, readOnly, func(ctx context.Context) (control.Key, error) { return c.api.Key(ctx, room.ID, e) })
		if core.KindOf(err) == core.KindNotFound {
			continue
		}
		if err != nil {
			return err
		}
		h, err := seal.BoxKEMHash(k.Key.Box)
		if err != nil {
			continue // no key opens it
		}
		if e == room.Epoch && h != c.kem.Hash() && c.sealAnew(ctx, k) == nil {
			continue
		}
		needed[h] = true
	}
	return nil
}

// sealAnew replaces this user's box of a room's present epoch by one that is sealed to
// the current key, so that the former one is not needed for it.
func (c *Client) sealAnew(ctx context.Context, k control.Key) error {
	if k.Record == nil {
		return core.Errorf(core.KindConflict, "the node shows no record of the room %s, epoch %d", k.Key.Room, k.Key.Epoch)
	}
	rec, err := seal.VerifyRecord(*k.Record)
	if err != nil {
		return err
	}
	opened, err := seal.OpenBox(rec, k.Key, c.me, c.kem.forBox(k.Key.Box))
	if err != nil {
		return err
	}
	return c.sealToSelf(ctx, opened.Key)
}

// sealToSelf gives this user a box of an epoch that is sealed to the current key. Its
// maker and its other boxes stay as they are.
func (c *Client) sealToSelf(ctx context.Context, key *seal.EpochKey) error {
	box, err := seal.MakeLateBox(seal.LateBoxConfig{Epoch: key, For: c.ownKey(), By: c.id, At: core.MillisOf(time.Now())})
	if err != nil {
		return err
	}
	_, err = sendRetrying(ctx, c, idempotent, func(ctx context.Context) (core.Room, error) { return c.api.GiveKey(ctx, box) })
	return err
}

// renewBox seals this user's box of the room's present epoch anew after a renewal. A box
// of an epoch that is over meanwhile is not replaced: it stays until nodes delete it.
func (w *reconciler) renewBox(ctx context.Context) {
	archived := w.room.Info().Room.State == core.RoomArchived // nothing changes there any more
	if w.key == nil || archived || w.boxOf == w.c.kem.Hash() || w.boxOf == (seal.Hash{}) {
		return
	}
	to := w.c.ownKey().Hash
	if err := w.c.sealToSelf(ctx, w.key); err == nil {
		w.boxOf = to
	} else {
		w.c.log.Info("this user's box of a room could not be sealed to the renewed key yet", "room", w.room.id, "reason", err)
	}
}

// outlived says that the boxes of the epoch before a record may be gone: nodes delete
// them some time after the record was made, and the link is not checked then. That the
// maker was a member is shown by the signed statements.
func (t timing) outlived(rec seal.Record, now time.Time) bool {
	return rec.Members != nil && now.Sub(rec.Time.Time()) > t.keyRetention
}

// ownBox names the key to which this user's box among those of a record is sealed.
func ownBox(boxes []core.SealedKey, me core.UserID) (h seal.Hash) {
	for _, b := range boxes {
		if b.User == me {
			h, _ = seal.BoxKEMHash(b.Box) // made here
		}
	}
	return h
}
