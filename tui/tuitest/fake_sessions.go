package tuitest

import (
	"context"
	"slices"

	"unibus/core"
	"unibus/core/admin"
)

// SessionPage lists the state's sessions of a user, as many as there is space for.
func (f *FakeClient) SessionPage(ctx context.Context, r admin.SessionPageRequest) (admin.SessionPage, error) {
	return read(ctx, f, func(state ClusterState) admin.SessionPage {
		p := admin.SessionPage{Sessions: []admin.Session{}, Unknown: state.Silent}
		for _, s := range state.Sessions {
			if s.User != r.User {
				continue
			}
			if p.Total++; len(p.Sessions) < r.Limit {
				p.Sessions = append(p.Sessions, s)
			}
		}
		return p
	})
}

// SessionEnd ends one session.
func (f *FakeClient) SessionEnd(ctx context.Context, id string) (admin.SessionsEnded, error) {
	return f.endSessions(ctx, "session-end "+id, func(s admin.Session) bool { return s.ID == id })
}

// SessionEndAll ends the sessions of a user.
func (f *FakeClient) SessionEndAll(ctx context.Context, user string) (admin.SessionsEnded, error) {
	return f.endSessions(ctx, "session-end "+user, func(s admin.Session) bool { return string(s.User) == user })
}

func (f *FakeClient) endSessions(ctx context.Context, call string, ends func(admin.Session) bool) (admin.SessionsEnded, error) {
	return change(ctx, f, call, func(state *ClusterState) (admin.SessionsEnded, error) {
		out := admin.SessionsEnded{Nodes: map[string]admin.Ended{}}
		for _, s := range state.Sessions {
			if ends(s) {
				e := out.Nodes[s.Node]
				e.Ended++
				out.Nodes[s.Node], out.User = e, s.User
			}
		}
		state.Sessions = slices.DeleteFunc(slices.Clone(state.Sessions), ends)
		for _, node := range state.Silent {
			out.Nodes[node] = admin.Ended{Unknown: true}
		}
		if out.Count() == 0 && len(state.Silent) == 0 {
			return out, core.Errorf(core.KindNotFound, "the session is gone")
		}
		return out, nil
	})
}
