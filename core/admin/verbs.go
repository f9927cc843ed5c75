package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"unibus/core"
	"unibus/core/binding"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// verbFunc answers one verb. What it returns is sent as JSON.
type verbFunc func(ctx context.Context, op core.Operator, body []byte) (any, error)

// verbs is the table of everything the service answers; Rules says who may ask.
func (s *Service) verbs() map[Verb]verbFunc {
	return map[Verb]verbFunc{
		VerbIdentify:  typed(s.identify),
		VerbStatus:    s.status,
		VerbEvents:    typed(s.events),
		VerbFlags:     s.flags,
		VerbRollout:   s.rollout,
		VerbMigration: func(ctx context.Context, _ core.Operator, _ []byte) (any, error) { return s.cfg.Mover.Status(ctx) },
		VerbAudit:     typed(s.audit),

		VerbUsers:        typed(s.users),
		VerbUserGet:      typed(s.userGet),
		VerbUserAdd:      typed(s.userAdd),
		VerbUserRevoke:   typed(s.userRevoke),
		VerbUserActivate: typed(s.userActivate),
		VerbRooms:        typed(s.rooms),
		VerbRoomGet:      typed(s.roomGet),
		VerbRoomRekey:    typed(s.roomRekey),

		VerbOperatorRemove: typed(s.operatorRemove),

		VerbBucketScale: typed(s.scale),
		VerbStepDown:    typed(s.stepDown),

		VerbMigrateStart: typed(func(ctx context.Context, op core.Operator, o migrate.Options) (any, error) {
			return s.cfg.Mover.Start(ctx, op.Name, o)
		}),
		VerbMigratePause:   moved(s.cfg.Mover.Pause),
		VerbMigrateResume:  moved(s.cfg.Mover.Resume),
		VerbMigrateAbort:   moved(s.cfg.Mover.Abort),
		VerbMigrateCutover: moved(s.cfg.Mover.Cutover),
		VerbMigrateFinish:  moved(s.cfg.Mover.Finish),
		VerbMigrateLimit: typed(func(ctx context.Context, op core.Operator, r LimitRequest) (any, error) {
			return s.cfg.Mover.Limit(ctx, op.Name, r.Rate)
		}),
		VerbMigrateRollback: moved(s.cfg.Mover.Rollback),

		VerbBackup:     typed(s.backup),
		VerbBackupPart: typed(s.backupPart),
	}
}

// identify proves to an operator's client that this node belongs to the cluster.
func (s *Service) identify(_ context.Context, op core.Operator, req binding.Request) (any, error) {
	key, signature, err := s.cfg.Prover.Prove(req.Channel, op.Key, req.Nonce)
	return binding.Proof{Cluster: key, Signature: signature}, err
}

// typed decodes the body strictly before f sees it; an empty body is the zero value.
func typed[Req any](f func(context.Context, core.Operator, Req) (any, error)) verbFunc {
	return func(ctx context.Context, op core.Operator, body []byte) (any, error) {
		var req Req
		if len(bytes.TrimSpace(body)) > 0 {
			dec := json.NewDecoder(bytes.NewReader(body))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&req); err != nil {
				return nil, core.Errorf(core.KindInvalid, "the request cannot be read: %w", err)
			}
		}
		return f(ctx, op, req)
	}
}

// moved steers the migration in the caller's name.
func moved(f func(ctx context.Context, by string) (migrate.Status, error)) verbFunc {
	return func(ctx context.Context, op core.Operator, _ []byte) (any, error) { return f(ctx, op.Name) }
}

func (s *Service) status(ctx context.Context, op core.Operator, _ []byte) (any, error) {
	v := s.cfg.Eyes.View(ctx)
	out := Status{View: v, Judgment: cluster.Judge(v, s.cfg.Now().Time()), Operator: op}
	if note := s.rekeyNote(); note != nil {
		out.Findings = append(out.Findings, *note) // notes come last
	}
	return out, nil
}

func (s *Service) events(_ context.Context, _ core.Operator, req EventsRequest) (any, error) {
	if req.Limit <= 0 || req.Limit > PageSize {
		req.Limit = 200
	}
	return Events{Node: s.cfg.Node, Events: s.cfg.Eyes.Events(req.Since, req.Limit)}, nil
}

func (s *Service) flags(ctx context.Context, _ core.Operator, _ []byte) (any, error) {
	var out Flags
	v := s.cfg.Eyes.View(ctx)
	for name, target := range s.cfg.Declared {
		f := Flag{Name: name, Declared: target, Nodes: map[string]string{}}
		for _, n := range v.Nodes {
			if n.Info != nil {
				f.Nodes[n.Name] = s.cfg.Flags(*n.Info)[name]
			}
		}
		out.Flags = append(out.Flags, f)
	}
	slices.SortFunc(out.Flags, func(a, b Flag) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func (s *Service) users(ctx context.Context, _ core.Operator, p Page) (any, error) {
	st, err := s.cfg.Holder.Store()
	if err != nil {
		return nil, err
	}
	all, err := st.Users(ctx)
	if err != nil {
		return nil, err
	}
	page, next := paged(all, p, func(u core.User) string { return string(u.ID) })
	return Users{Users: page, Next: next}, nil
}

// paged cuts the page after p.After out of a list in key order.
func paged[T any](all []T, p Page, key func(T) string) (page []T, next string) {
	if p.Limit <= 0 || p.Limit > PageSize {
		p.Limit = PageSize
	}
	from, found := slices.BinarySearchFunc(all, p.After, func(v T, k string) int { return cmp.Compare(key(v), k) })
	if found {
		from++
	}
	to := min(from+p.Limit, len(all))
	page = append([]T{}, all[from:to]...)
	if to < len(all) {
		next = key(all[to-1])
	}
	return page, next
}

func (s *Service) userGet(ctx context.Context, _ core.Operator, req UserRequest) (any, error) {
	st, id, err := s.storeAndUser(req.ID)
	if err != nil {
		return nil, err
	}
	return st.User(ctx, id)
}

func (s *Service) storeAndUser(id string) (core.Store, core.UserID, error) {
	user, err := core.ParseUserID(id)
	if err != nil {
		return nil, "", err
	}
	st, err := s.cfg.Holder.Store()
	return st, user, err
}

func (s *Service) userAdd(ctx context.Context, op core.Operator, u core.User) (any, error) {
	st, id, err := s.storeAndUser(string(u.ID))
	if err != nil {
		return nil, err
	}
	u, err = NewUser(id, u.Name, u.Role, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	if err := st.AddUser(ctx, u); err != nil {
		return nil, err
	}
	s.cfg.Eyes.Note(cluster.Note, op.Name, fmt.Sprintf("added user %s", id.Short()))
	return u, nil
}

// NewUser is an active user as `user add` makes one, with and without a network.
// KindInvalid for an unknown role or a name that is not UTF-8 or too long.
func NewUser(id core.UserID, name *string, role core.UserRole, now core.Millis) (core.User, error) {
	if role == "" {
		role = core.RoleMember
	}
	if role != core.RoleMember && role != core.RoleAdmin {
		return core.User{}, core.Errorf(core.KindInvalid, "%q is not a role", role).WithNext("use member or admin")
	}
	if name != nil {
		if err := CheckName(*name); err != nil {
			return core.User{}, err
		}
	}
	return core.User{ID: id, Name: name, Role: role, Status: core.UserActive, Created: now, Updated: now}, nil
}

func (s *Service) userActivate(ctx context.Context, op core.Operator, req UserRequest) (any, error) {
	st, id, err := s.storeAndUser(req.ID)
	if err != nil {
		return nil, err
	}
	u, err := st.SetUserStatus(ctx, id, core.UserActive, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	s.cfg.Bus.UserChanged(ctx, st, u)
	s.cfg.Eyes.Note(cluster.Note, op.Name, "activated "+id.Short())
	return u, nil
}

func (s *Service) rooms(ctx context.Context, _ core.Operator, p Page) (any, error) {
	st, err := s.cfg.Holder.Store()
	if err != nil {
		return nil, err
	}
	all, err := st.Rooms(ctx)
	if err != nil {
		return nil, err
	}
	rooms, next := paged(all, p, func(r core.Room) string { return string(r.ID) })
	counts, err := st.MemberCounts(ctx)
	if err != nil {
		return nil, err
	}
	out := Rooms{Rooms: make([]RoomSummary, len(rooms)), Next: next}
	for i, r := range rooms {
		out.Rooms[i] = RoomSummary{Room: r, Members: counts[r.ID]}
	}
	if err := s.keys.fill(ctx, st, out.Rooms); err != nil {
		s.cfg.Log.Warn("the rooms' keys could not be looked at", "error", err)
	}
	return out, nil
}

func (s *Service) scale(ctx context.Context, op core.Operator, req ScaleRequest) (any, error) {
	if req.Replicas < 1 || req.Replicas > 5 {
		return nil, core.Errorf(core.KindInvalid, "a bucket cannot have %d replicas", req.Replicas).WithNext("use 1 to 5, an odd number to gain by it")
	}
	if err := s.cfg.Groups.Scale(ctx, req.Replicas); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("Every bucket has %d current replicas.", req.Replicas)
	s.cfg.Eyes.Note(cluster.Note, op.Name, fmt.Sprintf("raised every bucket to %d replicas", req.Replicas))
	return Done{Text: text}, nil
}

func (s *Service) stepDown(ctx context.Context, op core.Operator, req StepDownRequest) (any, error) {
	if err := s.cfg.Groups.StepDown(ctx, req.Group, req.To); err != nil {
		return nil, err
	}
	s.cfg.Eyes.Note(cluster.Note, op.Name, "asked the leader of "+req.Group+" to step down")
	return Done{Text: "The leader of " + req.Group + " stepped down."}, nil
}
