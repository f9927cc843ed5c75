package kv

import (
	"context"
	"time"

	"unibus/core"
	"unibus/core/jsapi"
)

// Admit returns a user's status and rooms: see core.Store. Both rest on the same
// barriers of users and members while they are younger than 3 s, and on fresh ones
// otherwise, so that not every connection waits for a quorum. Under core.AsOf they rest
// on barriers that were sent since then. A user who was added a moment ago may not have
// reached this node while the lease holds, and a denial is final to many clients.
func (s *Store) Admit(ctx context.Context, id core.UserID) (core.Admission, error) {
	if _, fresh := core.AsOfTime(ctx); fresh {
		if err := s.renewTogether(ctx); err != nil {
			return core.Admission{}, err
		}
	}
	return underLease(ctx, s, func() (core.Admission, error) { return s.admissionOf(id) })
}

// underLease decides by what the watch has, as long as the proof that there was
// before the decision is younger than the lease after it. Without one it takes
// one. A later proof says nothing of what was decided before it.
func underLease[T any](ctx context.Context, s *Store, decide func() (T, error)) (T, error) {
	var none T
	if s.closed.Load() {
		return none, errClosed()
	}
	if ctx.Err() != nil {
		return none, explain(ctx.Err(), "deciding on an admission")
	}
	for try := 0; ; try++ {
		if p, ok := s.lastProof(); ok {
			out, err := decide()
			// The boot clock costs as much as all the rest: it is asked once, here.
			if _, still := s.lastProof(); still && p.age(now()) < leaseFor {
				return out, err
			}
		}
		if try == leaseTries { // the process, or the machine, was paused again and again
			return none, core.Errorf(core.KindUnavailable, "the proof of what this node knows of users expired while it decided").WithNext("try again")
		}
		if err := s.renew(ctx); err != nil {
			return none, err
		}
	}
}

// leaseTries bounds how often an admission takes a fresh proof.
const leaseTries = 2

// denialPace is how often callers of Admit under core.AsOf take barriers. Anybody can
// make a key that is not a user's, and each barrier is a write on a majority of the nodes.
const denialPace = 250 * time.Millisecond

// renewTogether waits for the next period, so that all who come within one share a proof.
func (s *Store) renewTogether(ctx context.Context) error {
	if !jsapi.Sleep(ctx, denialPace-time.Duration(time.Now().UnixNano())%denialPace) {
		return explain(ctx.Err(), "deciding on an admission")
	}
	return s.renew(ctx)
}

// renew takes fresh barriers for admission.
func (s *Store) renew(ctx context.Context) error {
	ctx, cancel, err := s.bound(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return s.awaitProof(ctx, core.TableUsers, core.TableMembers)
}

// admissionOf decides by what the watch has. Ids come in their canonical form as a
// rule, so a known one is not parsed: parsing takes longer than all the rest.
func (s *Store) admissionOf(id core.UserID) (core.Admission, error) {
	for _, wb := range s.admission {
		if !wb.open() {
			return core.Admission{}, errShut(wb.bucket)
		}
	}
	users := s.admission[0]
	r, ok, err := users.find(string(id))
	if !ok && err == nil {
		if id, err = core.ParseUserID(string(id)); err != nil {
			return core.Admission{}, err
		}
		r, ok, err = users.find(string(id))
	}
	if !ok || err != nil {
		return core.Admission{}, err
	}
	a := core.Admission{Status: r.user.Status, Expires: r.user.Expires}
	if a.Status == core.UserActive {
		if a.Rooms, err = s.roomsOf(id); err != nil {
			return core.Admission{}, err
		}
	}
	return a, nil
}
