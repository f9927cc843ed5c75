package control

import (
	"context"

	"unibus/core/binding"
	"unibus/core/request"
)

// methodFunc does what a method says for an actor who may. Its result is sent as JSON.
type methodFunc func(ctx context.Context, a *actor, body []byte) (any, error)

// methods is the table of everything the service answers; Rules says who may ask.
func (s *Service) methods() map[Method]methodFunc {
	return map[Method]methodFunc{
		methodIdentify: typed(s.identify),

		methodRoomCreate:  typed(s.roomCreate),
		methodRoomGet:     typed(s.roomGet),
		methodRooms:       typed(s.rooms),
		methodRoomRename:  typed(s.roomRename),
		methodRoomArchive: typed(s.roomArchive),

		methodMembers: typed(s.members),
		methodInvite:  typed(s.invite),
		methodAccept:  typed(s.accept),
		methodDecline: typed(s.decline),
		methodRemove:  typed(s.remove),
		methodLeave:   typed(s.leaveRoom),
		methodRole:    typed(s.role),

		methodInvitations: typed(s.invitations),
		methodStatements:  typed(s.statements),
		methodAppend:      typed(s.appendStatements),
		methodFoundAnew:   typed(s.foundAnew),

		methodKEMKey:      typed(s.kemKey),
		methodKey:         typed(s.key),
		methodBox:         typed(s.box),
		methodRekeyPart:   typed(s.rekeyPart),
		methodRekeyCommit: typed(s.rekeyCommit),
		methodEpochs:      typed(s.epochs),

		methodUserGet:      typed(s.userGet),
		methodUserAdd:      typed(s.userAdd),
		methodUserRevoke:   typed(s.userRevoke),
		methodUserActivate: typed(s.userActivate),
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
