package cluster

import (
	"encoding/json"
	"time"

	"unibus/core"
)

// The answers of nats-server to STATSZ and JSZ, cut down to what is used here.

// server is the server that answered.
type server struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	Version string `json:"ver"`
}

// stats is the answer to STATSZ: a server's load, and the meta group as it sees it.
type stats struct {
	Server server `json:"server"`
	Stats  struct {
		Start     time.Time `json:"start"`
		Mem       int64     `json:"mem"`
		CPU       float64   `json:"cpu"`
		Conns     int       `json:"connections"`
		JetStream *struct {
			Config struct {
				MaxStore int64 `json:"max_storage"`
			} `json:"config"`
			Stats struct {
				Store int64 `json:"storage"`
			} `json:"stats"`
			Meta *metaGroup `json:"meta"`
		} `json:"jetstream"`
	} `json:"statsz"`
	Error *refusal `json:"error"`
}

// streams is the answer to JSZ: the meta group and the streams of one account.
type streams struct {
	Server server `json:"server"`
	Data   struct {
		Disabled bool       `json:"disabled"`
		Meta     *metaGroup `json:"meta_cluster"`
		Accounts []struct {
			Name    string   `json:"name"`
			Streams []stream `json:"stream_detail"`
		} `json:"account_details"`
	} `json:"data"`
	Error *refusal `json:"error"`
}

// refusal is an answer that holds an error alone.
type refusal struct {
	Text string `json:"description"`
}

// metaGroup is the meta group as one server sees it. Every server answers it, leader or not.
type metaGroup struct {
	Leader  string `json:"leader"`
	Peers   []peer `json:"replicas"` // includes the answering server only while there is no leader
	Size    int    `json:"cluster_size"`
	Needed  int    `json:"quorum_needed"`
	Pending int    `json:"pending"`
	Rescue  bool   `json:"rescue"` // Needed was lowered by hand there, for some minutes
}

// peer is a member of a raft group. Only the group's leader is right about Current and Lag.
type peer struct {
	Name    string        `json:"name"`
	Current bool          `json:"current"`
	Offline bool          `json:"offline"`
	Active  time.Duration `json:"active"` // since it was last seen; 0: never
	Lag     uint64        `json:"lag"`
	ID      string        `json:"peer"`
	Pending bool          `json:"pending"` // assigned, and not in the group yet
}

// stream is one stream as one of its replicas sees it.
type stream struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Config  *struct {
		Replicas int `json:"num_replicas"`
	} `json:"config"`
	State struct {
		Msgs    uint64 `json:"messages"`
		Bytes   uint64 `json:"bytes"`
		LastSeq uint64 `json:"last_seq"`
	} `json:"state"`
	Group *struct {
		Leader      string     `json:"leader"`
		LeaderSince *time.Time `json:"leader_since"`
		Peers       []peer     `json:"replicas"`
		Desired     *struct {
			Status *struct {
				Type        string `json:"type"`
				Description string `json:"description"`
				Err         string `json:"err"`
			} `json:"status"`
		} `json:"desired"`
	} `json:"cluster"`
}

// decodeStats reads an answer to STATSZ. With an error it still returns the server, if its name could be read.
func decodeStats(reply []byte) (stats, error) {
	var a stats
	if err := json.Unmarshal(reply, &a); err != nil {
		return stats{}, core.Errorf(core.KindFailed, "a node's statistics cannot be read: %w", err)
	}
	return a, checkAnswer(a.Server, a.Error)
}

// decodeStreams reads an answer to JSZ.
func decodeStreams(reply []byte) (streams, error) {
	var a streams
	if err := json.Unmarshal(reply, &a); err != nil {
		return streams{}, core.Errorf(core.KindFailed, "a node's list of streams cannot be read: %w", err)
	}
	return a, checkAnswer(a.Server, a.Error)
}

func checkAnswer(s server, e *refusal) error {
	switch {
	case e != nil:
		return core.Errorf(core.KindFailed, "%s reports an error instead of its state: %s", s.Name, e.Text)
	case !validName(s.Name):
		return core.Errorf(core.KindFailed, "a server named %q answered, which is not a unibus node", s.Name)
	}
	return nil
}

// validName is true for 1 to 32 of A-Za-z0-9_-, the names of nodes.
func validName(s string) bool {
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-':
		default:
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 32
}

// known is true where the server that reported the peer knew its name. A peer
// that was not seen since that server's start is "Server name unknown …".
func (p peer) known() bool { return validName(p.Name) }

// label is the peer's name, or its raft id if no server knows the name.
func (p peer) label() string {
	if p.known() {
		return p.Name
	}
	return "peer " + p.ID
}

// leads is true if the answering server reports itself as the stream's leader.
func (s stream) leads(node string) bool { return s.Group != nil && s.Group.Leader == node }

// since is the time at which the leader began to lead, by its own report; zero if it does not report one.
func (s stream) since() time.Time {
	if s.Group == nil || s.Group.LeaderSince == nil {
		return time.Time{}
	}
	return *s.Group.LeaderSince
}

func (s stream) waiting() string {
	if s.Group == nil || s.Group.Desired == nil || s.Group.Desired.Status == nil {
		return ""
	}
	st := s.Group.Desired.Status
	if st.Err != "" {
		return st.Description + ": " + st.Err
	}
	return st.Description
}
