package admin

import (
	"context"
	"iter"
	"time"
	"unicode/utf8"

	"unibus/core"
)

// RoomSummary is a row of the rooms' list.
type RoomSummary struct {
	core.Room
	OwnerName *string    `json:"owner_name,omitempty"` // its beginning, if it is long
	Members   int        `json:"members"`              // active ones
	Keys      *KeyHealth `json:"keys,omitempty"`       // nil: not known
}

// RoomPage is one page of rooms. Orders and filters by what is not kept with a room (its
// owner's name, its members, its keys) and the counts of these are some seconds old.
type RoomPage struct {
	Rooms  []RoomSummary `json:"rooms"`
	Offset int           `json:"offset"` // the position of the first of them
	Total  int           `json:"total"`  // how many rooms the query selects
	Counts RoomCounts    `json:"counts"`
	Next   string        `json:"next,omitempty"` // the next page's After, "" at the end
}

// RoomCounts is the number of rooms, whatever a query selects, and the state of their
// keys.
type RoomCounts struct {
	core.RoomCounts
	Memberships int `json:"memberships"` // active ones, of all rooms
	Rekey       int `json:"rekey"`       // rooms that need a new key
	Missing     int `json:"missing"`     // other rooms, of which a member has no key
}

// roomPage reads one page. A page shows the present state of its rooms, except for keys.
func (s *Service) roomPage(ctx context.Context, _ core.Operator, r core.RoomPageRequest) (any, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	st, err := s.cfg.Store.Store()
	if err != nil {
		return nil, err
	}
	ctx = core.AsOf(ctx, time.Now()) // one proof of each table
	keys, err := s.keysForList(st)
	if err != nil {
		s.cfg.Log.Warn("the rooms' keys could not be looked at", "error", err)
	}
	if r.Sort == core.RoomsByKeyAge {
		s.keys.lookUpAges(ctx, st, keys)
	}
	p, err := st.RoomPage(ctx, r, s.keys.notesOf(keys, r.Sort == core.RoomsByKeyAge))
	if err != nil {
		return nil, err
	}
	out := RoomPage{Offset: p.Offset, Total: p.Total, Counts: RoomCounts{RoomCounts: p.Counts}, Next: p.Next}
	if out.Rooms, err = summaries(ctx, st, p.Rooms, s.cfg.Now()); err != nil || keys == nil {
		return out, err
	}
	out.Counts.Memberships, out.Counts.Rekey, out.Counts.Missing = keys.memberships, keys.rekey, keys.missing
	if err := s.keys.fill(ctx, keys, out.Rooms); err != nil {
		s.cfg.Log.Warn("the rooms' keys could not be looked at", "error", err)
	}
	return out, nil
}

// summaries are the rows of rooms, without their keys.
func summaries(ctx context.Context, st core.Store, rooms []core.Room, now core.Millis) ([]RoomSummary, error) {
	ids := make([]core.RoomID, len(rooms))
	owners := core.UserPageRequest{Limit: 1, NoKeys: true}
	for i, r := range rooms {
		ids[i] = r.ID
		owners.Named = append(owners.Named, r.Owner)
	}
	members, err := st.MemberCounts(ctx, ids)
	if err != nil {
		return nil, err
	}
	p, err := st.UserPage(ctx, owners, now)
	if err != nil {
		return nil, err
	}
	names := make(map[core.UserID]*string, len(p.Named))
	for _, u := range p.Named {
		if u.Name != nil {
			names[u.ID] = new(beginningOf(*u.Name))
		}
	}
	out := make([]RoomSummary, len(rooms))
	for i, r := range rooms {
		out[i] = RoomSummary{Room: r, OwnerName: names[r.Owner], Members: members[r.ID]}
	}
	return out, nil
}

// maxOwnerName bounds an owner's name in a list: one user may own every room of a page.
const maxOwnerName = 128

func beginningOf(name string) string {
	if len(name) <= maxOwnerName {
		return name
	}
	end := maxOwnerName
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end] + "…"
}

// RoomPage is one page of the rooms that a query selects. KindInvalid for a request that
// core.RoomPageRequest.Check refuses.
func (c *Client) RoomPage(ctx context.Context, r core.RoomPageRequest) (RoomPage, error) {
	if err := r.Check(); err != nil {
		return RoomPage{}, err
	}
	return call[RoomPage](ctx, c, TargetAny, verbRoomPage, r)
}

// RoomPages yields page after page of a query, each asked for when the one before was
// taken. An error is the last thing that comes.
func RoomPages(ctx context.Context, fetch func(context.Context, core.RoomPageRequest) (RoomPage, error), r core.RoomPageRequest) iter.Seq2[RoomPage, error] {
	return pages(ctx, fetch, r, func(p RoomPage, r *core.RoomPageRequest) bool {
		r.Offset, r.Around = 0, ""
		return continueAfter(p.Next, len(p.Rooms), &r.After, &r.Limit)
	})
}

// AllRooms are all rooms, page after page.
func AllRooms(ctx context.Context, fetch func(context.Context, core.RoomPageRequest) (RoomPage, error)) ([]RoomSummary, error) {
	return collect(RoomPages(ctx, fetch, core.RoomPageRequest{}), func(p RoomPage) []RoomSummary { return p.Rooms })
}
