package control

import (
	"context"

	"unibus/core/binding"
	"unibus/core/request"
)

// methodFunc does what a method says for an actor who may. What it returns is sent as JSON.
type methodFunc func(ctx context.Context, a *actor, body []byte) (any, error)

// methods is the table of everything the service answers; Rules says who may ask.
func (s *Service) methods() map[Method]methodFunc {
	return map[Method]methodFunc{
		MethodIdentify: typed(s.identify),

		MethodRoomCreate:  typed(s.roomCreate),
		MethodRoomGet:     typed(s.roomGet),
		MethodRooms:       typed(s.rooms),
		MethodRoomRename:  typed(s.roomRename),
		MethodRoomArchive: typed(s.roomArchive),

		MethodMembers: typed(s.members),
		MethodInvite:  typed(s.invite),
		MethodAccept:  typed(s.accept),
		MethodDecline: typed(s.decline),
		MethodRemove:  typed(s.remove),
		MethodLeave:   typed(s.leaveRoom),
		MethodRole:    typed(s.role),

		MethodInvitations: typed(s.invitations),

		MethodKEMKey:      typed(s.kemKey),
		MethodKey:         typed(s.key),
		MethodBox:         typed(s.box),
		MethodRekeyPart:   typed(s.rekeyPart),
		MethodRekeyCommit: typed(s.rekeyCommit),
		MethodEpochs:      typed(s.epochs),

		MethodUserGet:      typed(s.userGet),
		MethodUserAdd:      typed(s.userAdd),
		MethodUserRevoke:   typed(s.userRevoke),
		MethodUserActivate: typed(s.userActivate),
	}
}

// identify proves to a user's client that this node belongs to the cluster.
func (s *Service) identify(_ context.Context, a *actor, req binding.Request) (any, error) {
	return request.Prove(s.cfg.Prover, string(a.id()), req)
}

// typed decodes the body before f sees it.
func typed[Req any](f func(context.Context, *actor, Req) (any, error)) methodFunc {
	return func(ctx context.Context, a *actor, body []byte) (any, error) {
		req, err := decode[Req](body)
		if err != nil {
			return nil, err
		}
		return f(ctx, a, req)
	}
}
