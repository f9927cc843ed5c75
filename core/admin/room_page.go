package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/request"
)

// RoomSort is an order of the rooms' list.
type RoomSort string

// The orders. Rooms that are equal in one are in the order of their ids.
const (
	RoomsByID      RoomSort = "id"
	RoomsByKeys    RoomSort = "keys" // those that need attention first
	RoomsByEpoch   RoomSort = "epoch"
	RoomsByKeyAge  RoomSort = "since" // when the key was made
	RoomsByMembers RoomSort = "members"
	RoomsByOwner   RoomSort = "owner"
	RoomsByName    RoomSort = "name"
	RoomsByCreated RoomSort = "created"
)

// RoomSorts are the orders in which rooms can be listed.
func RoomSorts() []RoomSort {
	return []RoomSort{RoomsByID, RoomsByKeys, RoomsByEpoch, RoomsByKeyAge, RoomsByMembers, RoomsByOwner, RoomsByName, RoomsByCreated}
}

// RoomQuery selects rooms and orders them. The zero value is all rooms by id.
type RoomQuery struct {
	Filter     string      `json:"filter,omitempty"` // a part of the id, name, owner or state of the key, in any case
	Owner      core.UserID `json:"owner,omitempty"`  // "": any
	Keys       KeyState    `json:"keys,omitempty"`   // the state of the key; "": any
	Sort       RoomSort    `json:"sort,omitempty"`   // "": by id
	Descending bool        `json:"descending,omitempty"`
}

// RoomPageRequest asks for one page of a query's answer, from the position Offset on.
type RoomPageRequest struct {
	RoomQuery
	Offset int           `json:"offset,omitempty"`
	Limit  int           `json:"limit,omitempty"` // 0: PageSize
	Named  []core.RoomID `json:"named,omitempty"` // rooms to return besides
}

// RoomPage is one page of rooms.
type RoomPage struct {
	Rooms  []RoomSummary `json:"rooms"`
	Offset int           `json:"offset"`
	Total  int           `json:"total"` // how many rooms the query selects
	Counts RoomCounts    `json:"counts"`
	Named  []RoomSummary `json:"named,omitempty"` // in the order of their ids
}

// RoomCounts is how many rooms there are, whatever a query selects.
type RoomCounts struct {
	All       int `json:"all"`
	Encrypted int `json:"encrypted"`
	Members   int `json:"members"` // memberships of active members
	Rekey     int `json:"rekey"`   // rooms whose key a removed or revoked user has
	Missing   int `json:"missing"` // rooms in which a member has no key, and none of those
}

// Check refuses a request that no list can answer. KindInvalid.
func (r RoomPageRequest) Check() error {
	switch {
	case r.Sort != "" && !slices.Contains(RoomSorts(), r.Sort):
		return core.Errorf(core.KindInvalid, "rooms cannot be sorted by %q", r.Sort).WithNext("sort by id, keys, epoch, since, members, owner, name or created")
	case r.Limit < 0 || r.Offset < 0:
		return core.Errorf(core.KindInvalid, "a page cannot have %d rooms from position %d on", r.Limit, r.Offset).WithNext("give numbers that are not negative")
	case len(r.Filter) > 256 || len(r.Named) > PageSize:
		return core.Errorf(core.KindInvalid, "the filter has %d bytes, and %d rooms are named", len(r.Filter), len(r.Named)).WithNext("give at most 256 bytes and %d rooms", PageSize)
	}
	return nil
}

// roomPage reads the rooms and their members by a proof, as the whole list does.
func (s *Service) roomPage(ctx context.Context, _ core.Operator, r RoomPageRequest) (any, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	st, err := s.cfg.Store.Store()
	if err != nil {
		return nil, err
	}
	all, err := s.roomSummaries(ctx, st)
	if err != nil {
		return nil, err
	}
	names, err := ownerNames(ctx, st, r.RoomQuery)
	if err != nil {
		return nil, err
	}
	out := pageOfRooms(all, r, names)
	shown := slices.Concat(out.Rooms, out.Named)
	if err := s.keys.fill(ctx, st, shown); err != nil {
		s.cfg.Log.Warn("the rooms' keys could not be looked at", "error", err)
	}
	if err := nameOwners(ctx, st, shown); err != nil {
		return nil, err
	}
	out.Rooms, out.Named = shown[:len(out.Rooms)], shown[len(out.Rooms):]
	return out, nil
}

// roomSummaries are all rooms, with what the last look at the keys said.
func (s *Service) roomSummaries(ctx context.Context, st core.Store) ([]RoomSummary, error) {
	rooms, err := st.Rooms(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := st.MemberCounts(ctx)
	if err != nil {
		return nil, err
	}
	health, err := s.keys.snapshot(ctx, st, listMaxAge)
	if err != nil {
		s.cfg.Log.Warn("the rooms' keys could not be looked at", "error", err)
	}
	all := make([]RoomSummary, len(rooms))
	for i, r := range rooms {
		all[i] = RoomSummary{Room: r, Members: counts[r.ID]}
		if health == nil {
			continue
		}
		if h, ok := health.of(r); ok {
			if at, known := s.keys.known(r); known && h.sealed() {
				h.Since = at
			}
			all[i].Keys = &h
		}
	}
	return all, nil
}

// ownerNames are the names that a filter or an order needs: of the users that the
// filter selects, or of all.
func ownerNames(ctx context.Context, st core.Store, q RoomQuery) (map[core.UserID]string, error) {
	names := map[core.UserID]string{}
	if q.Filter == "" && q.Sort != RoomsByOwner {
		return names, nil
	}
	var users core.UserQuery
	if q.Sort != RoomsByOwner {
		users.Filter = q.Filter
	}
	fetch := func(ctx context.Context, r core.UserPageRequest) (core.UserPage, error) {
		return st.UserPage(ctx, r, 0)
	}
	for page, err := range UserPages(ctx, fetch, core.UserPageRequest{UserQuery: users}) {
		if err != nil {
			return nil, err
		}
		for _, u := range page.Users {
			if u.Name != nil {
				names[u.ID] = *u.Name
			}
		}
	}
	return names, nil
}

// nameOwners gives rooms the names of their owners.
func nameOwners(ctx context.Context, st core.Store, rooms []RoomSummary) error {
	owners := map[core.UserID]*string{}
	for _, r := range rooms {
		owners[r.Owner] = nil
	}
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(owners)), core.MaxPage) {
		page, err := st.UserPage(ctx, core.UserPageRequest{Limit: 1, Named: chunk}, 0)
		if err != nil {
			return err
		}
		for _, u := range page.Named {
			owners[u.ID] = u.Name
		}
	}
	for i, r := range rooms {
		rooms[i].OwnerName = owners[r.Owner]
	}
	return nil
}

// pageOfRooms selects, orders and cuts.
func pageOfRooms(all []RoomSummary, r RoomPageRequest, names map[core.UserID]string) RoomPage {
	out := RoomPage{Rooms: []RoomSummary{}}
	var selected []RoomSummary
	named := make(map[core.RoomID]bool, len(r.Named))
	for _, id := range r.Named {
		named[id] = true
	}
	for _, room := range all {
		out.Counts.add(room)
		if r.Selects(room, names[room.Owner]) {
			selected = append(selected, room)
		}
		if named[room.ID] {
			out.Named = append(out.Named, room)
		}
	}
	slices.SortFunc(selected, func(a, b RoomSummary) int {
		if r.Descending {
			a, b = b, a
		}
		return cmp.Or(r.Sort.compare(a, b, names), cmp.Compare(a.ID, b.ID))
	})
	out.Total = len(selected)
	out.Offset = min(r.Offset, out.Total)
	limit, size := r.Limit, 0
	if limit == 0 || limit > PageSize {
		limit = PageSize
	}
	for _, room := range selected[out.Offset:min(out.Offset+limit, out.Total)] {
		b, _ := json.Marshal(room) // plain values
		if size += len(b) + 256; size > request.PageBytes && len(out.Rooms) > 0 {
			break
		}
		out.Rooms = append(out.Rooms, room)
	}
	return out
}

func (c *RoomCounts) add(r RoomSummary) {
	c.All++
	c.Members += r.Members
	if r.Encrypted {
		c.Encrypted++
	}
	switch {
	case r.Keys == nil:
	case r.Keys.State == KeysRekey:
		c.Rekey++
	case r.Keys.State == KeysMissing:
		c.Missing++
	}
}

// Selects is true for the rooms that the query asks for.
func (q RoomQuery) Selects(r RoomSummary, owner string) bool {
	if q.Owner != "" && r.Owner != q.Owner || q.Keys != "" && (r.Keys == nil || r.Keys.State != q.Keys) {
		return false
	}
	if q.Filter == "" {
		return true
	}
	f := strings.ToLower(q.Filter)
	for _, text := range []string{string(r.ID), owner, string(r.Owner), r.Keys.Label()} {
		if strings.Contains(strings.ToLower(text), f) {
			return true
		}
	}
	return r.Name != nil && strings.Contains(strings.ToLower(*r.Name), f)
}

func (s RoomSort) compare(a, b RoomSummary, names map[core.UserID]string) int {
	switch s {
	case RoomsByKeys:
		return cmp.Compare(keyRank(a.Keys), keyRank(b.Keys))
	case RoomsByEpoch:
		return cmp.Or(falseFirst(a.Encrypted, b.Encrypted), cmp.Compare(a.Epoch, b.Epoch))
	case RoomsByKeyAge:
		return cmp.Compare(sinceOf(a), sinceOf(b))
	case RoomsByMembers:
		return cmp.Compare(a.Members, b.Members)
	case RoomsByOwner:
		return cmp.Or(strings.Compare(strings.ToLower(names[a.Owner]), strings.ToLower(names[b.Owner])), cmp.Compare(a.Owner, b.Owner))
	case RoomsByName:
		return strings.Compare(nameOf(a), nameOf(b))
	case RoomsByCreated:
		return cmp.Compare(a.Created, b.Created)
	}
	return 0
}

// falseFirst puts encrypted rooms before plain ones, which have no epoch to show.
func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func nameOf(r RoomSummary) string {
	if r.Name == nil {
		return ""
	}
	return strings.ToLower(*r.Name)
}

func sinceOf(r RoomSummary) core.Millis {
	if r.Keys == nil {
		return 0
	}
	return r.Keys.Since
}

// keyRank orders the states of keys: those that need attention first, and of these
// the worst.
func keyRank(k *KeyHealth) float64 {
	if k == nil {
		return 2e9
	}
	switch k.State {
	case KeysRekey:
		return -float64(k.MustRekey)
	case KeysMissing:
		return 1e9 - float64(k.Unkeyed)
	case KeysOK:
		return 3e9
	case KeysPlain:
		return 4e9
	}
	return 5e9
}

// RoomList is one page of the rooms that a query selects. Nodes of an earlier version
// give no pages: where all are, this fetches every room and takes the page here,
// without the owners' names.
func (c *Client) RoomList(ctx context.Context, r RoomPageRequest) (RoomPage, error) {
	if err := r.Check(); err != nil {
		return RoomPage{}, err
	}
	page, err := call[RoomPage](ctx, c, TargetAny, verbRoomPage, r)
	if !errors.Is(err, nats.ErrNoResponders) {
		return page, err
	}
	all, err := c.Rooms(ctx)
	if err != nil {
		return RoomPage{}, err
	}
	return pageOfRooms(all, r, nil), nil
}
