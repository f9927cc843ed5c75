package bus

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core/auth"
)

// GroupsState is what this server knows of the raft groups of the control plane's streams: it
// encodes to the same JSON as long as nothing has changed. It asks no other server.
type GroupsState struct {
	ID       string
	Routes   int
	Disabled bool
	Meta     *server.MetaClusterInfo
	Streams  []StreamState
}

// lastGroups is the last GroupsState.
type lastGroups struct {
	sync.Mutex
	at   time.Time
	last GroupsState
}

// StreamState is a stream of GroupsState.
type StreamState struct {
	Name     string
	Created  time.Time
	Replicas int
	Messages uint64
	Bytes    uint64
	FirstSeq uint64
	LastSeq  uint64
	Expires  bool // each replica removes old messages by its own clock
	Group    *server.ClusterInfo
}

// groupsFresh is how long the last GroupsState is returned again: several parts look at the
// same moment.
const groupsFresh = 100 * time.Millisecond

// LastSeq is the last sequence of this server's replica of a stream; false without one.
func (s *Server) LastSeq(stream string) (uint64, bool) {
	st, ok := s.Stream(stream)
	return st.LastSeq, ok
}

// Stream is this server's replica of a stream, as GroupsState has it; false without one.
func (s *Server) Stream(name string) (StreamState, bool) {
	streams := s.GroupsState().Streams
	i := slices.IndexFunc(streams, func(st StreamState) bool { return st.Name == name })
	if i < 0 {
		return StreamState{}, false
	}
	return streams[i], true
}

// GroupsState is at most 100 ms old, and zero while the server is closed.
func (s *Server) GroupsState() GroupsState {
	s.groups.Lock()
	defer s.groups.Unlock()
	srv := s.running()
	if srv == nil {
		return GroupsState{}
	}
	if s.groups.last.ID != srv.ID() || time.Since(s.groups.at) >= groupsFresh {
		s.groups.at, s.groups.last = time.Now(), groupsState(srv)
	}
	return s.groups.last
}

func groupsState(srv *server.Server) GroupsState {
	info, err := srv.Jsz(&server.JSzOptions{Account: auth.AccountControl, Streams: true, Config: true})
	if err != nil { // the account has no stream here yet
		info = &server.JSInfo{}
	}
	out := GroupsState{ID: srv.ID(), Routes: srv.NumRoutes(), Disabled: info.Disabled, Meta: info.Meta}
	if out.Meta != nil {
		out.Meta.Snapshot, out.Meta.Pending, out.Meta.PendingRequests, out.Meta.PendingInfos = nil, 0, 0, 0
		settlePeers(out.Meta.Replicas)
	}
	for _, account := range info.AccountDetails {
		for _, st := range account.Streams {
			out.Streams = append(out.Streams, streamState(st))
		}
	}
	slices.SortFunc(out.Streams, func(a, b StreamState) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func streamState(d server.StreamDetail) StreamState {
	st := StreamState{Name: d.Name, Created: d.Created, Messages: d.State.Msgs, Bytes: d.State.Bytes, FirstSeq: d.State.FirstSeq, LastSeq: d.State.LastSeq, Group: d.Cluster}
	if d.Config != nil {
		st.Replicas, st.Expires = d.Config.Replicas, d.Config.MaxAge > 0
	}
	if st.Group != nil {
		settlePeers(st.Group.Replicas)
	}
	return st
}

// settlePeers clears what grows between two heartbeats of a peer, and sorts.
func settlePeers(peers []*server.PeerInfo) {
	for _, p := range peers {
		p.Active = 0
	}
	slices.SortFunc(peers, func(a, b *server.PeerInfo) int { return cmp.Compare(a.Peer, b.Peer) })
}
