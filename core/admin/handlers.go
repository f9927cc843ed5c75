package admin

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"unibus/core"
	"unibus/core/binding"
	"unibus/core/cluster"
	"unibus/core/migrate"
	"unibus/core/request"
)

// verbFunc answers one verb. Its result is sent as JSON.
type verbFunc func(ctx context.Context, op core.Operator, body []byte) (any, error)

// verbs is the table of everything the service answers; Rules says who may ask.
func (s *Service) verbs() map[Verb]verbFunc {
	return map[Verb]verbFunc{
		verbIdentify:  typed(s.identify),
		verbStatus:    s.status,
		verbEvents:    typed(s.events),
		verbHistory:   typed(s.history),
		verbFlags:     s.flags,
		verbRollout:   s.rollout,
		verbMigration: s.migrationStatus,
		verbAudit:     typed(s.audit),
		verbDoctor:    typed(s.doctor),

		verbUserPage:       typed(s.userPage),
		verbUserGet:        typed(s.userGet),
		verbUserAdd:        typed(s.userAdd),
		verbUserRevoke:     typed(s.userRevoke),
		verbUserActivate:   typed(s.userActivate),
		verbUserExtend:     typed(s.userExtend),
		verbUserReplace:    typed(s.userReplace),
		verbRoomPage:       typed(s.roomPage),
		verbRoomGet:        typed(s.roomGet),
		verbRoomStatements: typed(s.roomStatements),
		verbRoomRekey:      typed(s.roomRekey),

		verbSessionPage: typed(s.sessionPage),
		verbSessionEnd:  typed(s.sessionEnd),

		verbOperatorRemove: typed(s.operatorRemove),

		verbNodeAdd: typed(s.nodeAdd), verbNodeRemove: typed(s.nodeRemove), verbNodeEvacuate: typed(s.nodeEvacuate),
		verbNodeDrain: typed(s.nodeDrain), verbNodeResume: typed(s.nodeResume),
		verbNodeFence: typed(s.nodeFence), verbNodeRescue: typed(s.nodeRescue),
		verbBucketScale: typed(s.scale),
		verbStepDown:    typed(s.stepDown),

		verbMigrateStart: typed(func(ctx context.Context, op core.Operator, o migrate.Options) (any, error) {
			return s.migrate(func(m Migrator) (migrate.Status, error) { return m.Start(ctx, op.Name, o) })
		}),
		verbMigratePause:   s.migrateVerb(Migrator.Pause),
		verbMigrateResume:  s.migrateVerb(Migrator.Resume),
		verbMigrateAbort:   s.migrateVerb(Migrator.Abort),
		verbMigrateCutover: s.migrateVerb(Migrator.Cutover),
		verbMigrateFinish:  s.migrateVerb(Migrator.Finish),
		verbMigrateLimit: typed(func(ctx context.Context, op core.Operator, r limitRequest) (any, error) {
			return s.migrate(func(m Migrator) (migrate.Status, error) { return m.Limit(ctx, op.Name, r.Rate) })
		}),
		verbMigrateRollback: s.migrateVerb(Migrator.Rollback),

		verbSupport:    s.support,
		verbBackup:     typed(s.backup),
		verbBackupNow:  s.backupNow,
		verbBackupPart: typed(s.backupPart),

		verbRestore:     typed(s.restore),
		verbRestorePart: typed(s.restorePart),
	}
}

// identify proves to an operator's client that this node belongs to the cluster.
func (s *Service) identify(_ context.Context, op core.Operator, req binding.Request) (any, error) {
	return request.Prove(s.cfg.Prover, op.Key, req)
}

// typed decodes the body strictly before f sees it; an empty body is the zero value.
func typed[Req any](f func(context.Context, core.Operator, Req) (any, error)) verbFunc {
	return func(ctx context.Context, op core.Operator, body []byte) (any, error) {
		var req Req
		if len(bytes.TrimSpace(body)) > 0 {
			if err := request.Decode(body, &req); err != nil {
				return nil, err
			}
		}
		return f(ctx, op, req)
	}
}

// migrateVerb changes the migration in the caller's name.
func (s *Service) migrateVerb(f func(m Migrator, ctx context.Context, by string) (migrate.Status, error)) verbFunc {
	return func(ctx context.Context, op core.Operator, _ []byte) (any, error) {
		return s.migrate(func(m Migrator) (migrate.Status, error) { return f(m, ctx, op.Name) })
	}
}

// migrate refuses on a node that has nowhere to migrate to.
func (s *Service) migrate(f func(Migrator) (migrate.Status, error)) (any, error) {
	if s.cfg.Migrator == nil {
		return nil, core.Errorf(core.KindRefused, "%s runs alone: there is no cluster to which its control plane could move", s.cfg.Node).
			WithNext("restart it with --cluster-name, --cluster-listen and --routes, and start the other nodes")
	}
	return f(s.cfg.Migrator)
}

func (s *Service) migrationStatus(ctx context.Context, _ core.Operator, _ []byte) (any, error) {
	if s.cfg.Migrator == nil {
		return migrate.Status{State: migrate.StateNone}, nil
	}
	return s.cfg.Migrator.Status(ctx)
}

func (s *Service) status(ctx context.Context, op core.Operator, _ []byte) (any, error) {
	v := s.cfg.Cluster.View(ctx)
	out := Status{View: v, Judgment: cluster.Judge(v, s.cfg.Now().Time()), Operator: op}
	out.Findings = append(out.Findings, s.storeNotes()...) // notes come last
	return out, nil
}

func (s *Service) events(_ context.Context, _ core.Operator, req EventsRequest) (any, error) {
	if req.Limit <= 0 || req.Limit > request.PageSize {
		req.Limit = 200
	}
	return Events{Node: s.cfg.Node, Events: s.cfg.Cluster.Events(req.Since, req.Limit)}, nil
}

func (s *Service) history(_ context.Context, _ core.Operator, req HistoryRequest) (any, error) {
	return s.cfg.Cluster.History(req), nil
}

func (s *Service) flags(ctx context.Context, _ core.Operator, _ []byte) (any, error) {
	var out Flags
	v := s.cfg.Cluster.View(ctx)
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

func (s *Service) userGet(ctx context.Context, _ core.Operator, req userRequest) (any, error) {
	st, id, err := s.storeAndUser(req.ID)
	if err != nil {
		return nil, err
	}
	u, err := st.User(ctx, id)
	if err != nil {
		return nil, err
	}
	record := s.cfg.Cluster.LastSeen()
	seen := UserSeen{User: u, Seen: record.Of(id), SeenSince: record.Began()}
	if !req.Key {
		return seen, nil
	}
	k, err := s.userKey(ctx, st, u)
	return userKeyReply{UserSeen: seen, Key: k}, err
}

func (s *Service) storeAndUser(id string) (core.Store, core.UserID, error) {
	user, err := core.ParseUserID(id)
	if err != nil {
		return nil, "", err
	}
	st, err := s.cfg.Store.Store()
	return st, user, err
}

func (s *Service) userAdd(ctx context.Context, op core.Operator, u core.User) (any, error) {
	st, id, err := s.storeAndUser(string(u.ID))
	if err != nil {
		return nil, err
	}
	u, err = NewUser(id, u.Name, u.Role, u.Expires, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	if err := st.AddUser(ctx, u); err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("added user %s%s", id.Short(), untilText(u.Expires)))
	return u, nil
}

// NewUser is an active user as `user add` makes one, with and without a network.
// KindInvalid for an unknown role, a name that is not UTF-8 or too long, or an end
// that is over.
func NewUser(id core.UserID, name *string, role core.UserRole, expires, now core.Millis) (core.User, error) {
	if role == "" {
		role = core.RoleMember
	}
	if role != core.RoleMember && role != core.RoleAdmin {
		return core.User{}, core.Errorf(core.KindInvalid, "%q is not a role", role).WithNext("use member or admin")
	}
	if name != nil {
		if err := core.CheckName(*name); err != nil {
			return core.User{}, err
		}
	}
	if err := core.CheckNewExpiry(expires, now); err != nil {
		return core.User{}, err
	}
	return core.User{ID: id, Name: name, Role: role, Status: core.UserActive, Created: now, Updated: now, Expires: expires}, nil
}

func (s *Service) userActivate(ctx context.Context, op core.Operator, req userRequest) (any, error) {
	st, id, err := s.storeAndUser(req.ID)
	if err != nil {
		return nil, err
	}
	u, err := st.SetUserStatus(ctx, id, core.UserActive, s.cfg.Now())
	if err != nil {
		return nil, err
	}
	s.cfg.Bus.UserChanged(ctx, st, u)
	s.cfg.Cluster.Note(cluster.Note, op.Name, "activated "+id.Short())
	return u, nil
}

func (s *Service) scale(ctx context.Context, op core.Operator, req ScaleRequest) (any, error) {
	if req.Replicas < 1 || req.Replicas > 5 {
		return nil, core.Errorf(core.KindInvalid, "a bucket cannot have %d replicas", req.Replicas).WithNext("use 1 to 5, an odd number to gain by it")
	}
	if err := s.cfg.Groups.Scale(ctx, req.Replicas); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("Every bucket has %d current replicas.", req.Replicas)
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("gave every bucket %d replicas", req.Replicas))
	return Done{Text: text}, nil
}

func (s *Service) stepDown(ctx context.Context, op core.Operator, req stepDownRequest) (any, error) {
	if err := s.cfg.Groups.StepDown(ctx, req.Group, req.To); err != nil {
		return nil, err
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, "asked the leader of "+req.Group+" to step down")
	return Done{Text: "The leader of " + req.Group + " stepped down."}, nil
}
