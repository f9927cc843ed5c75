package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"unibus/core"
	"unibus/core/cluster"
)

// SessionPageRequest asks for open sessions of users, and of clients without an identity, in
// the order of users, nodes and connections.
type SessionPageRequest struct {
	User  core.UserID `json:"user,omitempty"`  // "": of all
	Node  string      `json:"node,omitempty"`  // "": on all
	After string      `json:"after,omitempty"` // a page's Next
	Limit int         `json:"limit,omitempty"` // 0: MaxSessions
}

// MaxSessions is how many sessions a page has at the most: as many from each node are merged,
// and all have to fit into one message, whatever clients call themselves.
const MaxSessions = 250

// Session is one open session.
type Session struct {
	ID      string      `json:"id"` // as ParseSessionID has it
	User    core.UserID `json:"user,omitempty"`
	Name    *string     `json:"name,omitempty"` // of the user; nil where it has none, or the control plane cannot be read
	Node    string      `json:"node"`
	Since   core.Millis `json:"since"`
	Address string      `json:"address"`
	Client  string      `json:"client,omitempty"` // these three are the client's own words: its name, library and version
	Lang    string      `json:"lang,omitempty"`
	Version string      `json:"version,omitempty"`
	Rooms   int         `json:"rooms"` // that it may use
}

// SessionPage is one page of sessions.
type SessionPage struct {
	Sessions []Session `json:"sessions"`
	Total    int       `json:"total"`             // on the nodes that answered
	Unknown  []string  `json:"unknown,omitempty"` // nodes that did not answer in time: their sessions are missing
	Next     string    `json:"next,omitempty"`    // the next page's After, "" at the end
}

// SessionCursor is the last session of a page.
type SessionCursor struct {
	User core.UserID `json:"u"`
	Node string      `json:"n"`
	ID   uint64      `json:"i"`
}

// NodeSessions is what one node answers.
type NodeSessions struct {
	Sessions []Session `json:"sessions"`
	Total    int       `json:"total"`
	Unknown  bool      `json:"unknown,omitempty"` // it did not answer in time
}

// SessionID names a session: the node, and the connection there. Run tells runs of a node apart,
// because each counts its connections from 1 on.
type SessionID struct {
	Node string
	Conn uint64
	Run  string // "": any
}

// String is the text of the id, as ParseSessionID reads it.
func (s SessionID) String() string {
	text := fmt.Sprintf("%s/%d", s.Node, s.Conn)
	if s.Run != "" {
		text += "-" + s.Run
	}
	return text
}

// ParseSessionID reads NODE/NUMBER or NODE/NUMBER-RUN. KindInvalid.
func ParseSessionID(text string) (SessionID, error) {
	node, rest, found := strings.Cut(text, "/")
	number, run, _ := strings.Cut(rest, "-")
	conn, err := strconv.ParseUint(number, 10, 64)
	if _, nodeErr := core.ParseNodeName(node); !found || err != nil || nodeErr != nil || len(run) > 16 {
		return SessionID{}, core.Errorf(core.KindInvalid, "%q is neither a user's public nkey nor the id of a session", text).
			WithNext("see the ids: `unibusd session list`")
	}
	return SessionID{node, conn, run}, nil
}

// cursor is where the page begins, nil at the first. KindInvalid.
func (r SessionPageRequest) cursor() (*SessionCursor, error) {
	if r.After == "" {
		return nil, nil
	}
	var c SessionCursor
	b, err := base64.RawURLEncoding.DecodeString(r.After)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "the cursor is no end of a page of sessions").WithNext("begin again with the first page")
	}
	return &c, nil
}

// Check refuses a request that no list can answer. KindInvalid.
func (r SessionPageRequest) Check() error {
	if r.User != "" {
		if _, err := core.ParseUserID(string(r.User)); err != nil {
			return err
		}
	}
	if r.Node != "" {
		if _, err := core.ParseNodeName(r.Node); err != nil {
			return err
		}
	}
	if r.Limit < 0 {
		return core.Errorf(core.KindInvalid, "a page cannot have %d sessions", r.Limit).WithNext("give a number that is not negative")
	}
	_, err := r.cursor()
	return err
}

func (s *Service) sessionPage(ctx context.Context, _ core.Operator, r SessionPageRequest) (any, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if r.Limit == 0 || r.Limit > MaxSessions {
		r.Limit = MaxSessions
	}
	if r.User != "" {
		r.User, _ = core.ParseUserID(string(r.User)) // checked; in upper case
	}
	after, _ := r.cursor() // checked
	return mergeSessions(s.cfg.Sessions.Sessions(ctx, r, after), r), nil
}

// mergeSessions makes one page of what the nodes answered.
func mergeSessions(nodes map[string]NodeSessions, r SessionPageRequest) SessionPage {
	page := SessionPage{Sessions: []Session{}}
	for name, n := range nodes {
		if n.Unknown && (r.Node == "" || r.Node == name) {
			page.Unknown = append(page.Unknown, name)
		}
		page.Sessions = append(page.Sessions, n.Sessions...)
		page.Total += n.Total
	}
	slices.Sort(page.Unknown)
	slices.SortFunc(page.Sessions, func(a, b Session) int {
		return cmp.Or(strings.Compare(string(a.User), string(b.User)), strings.Compare(a.Node, b.Node), cmp.Compare(connOf(a), connOf(b)))
	})
	if len(page.Sessions) >= r.Limit { // a node sends as many at the most: there may be more
		page.Sessions = page.Sessions[:r.Limit]
		last := page.Sessions[r.Limit-1]
		b, _ := json.Marshal(SessionCursor{last.User, last.Node, connOf(last)}) // plain values
		page.Next = base64.RawURLEncoding.EncodeToString(b)
	}
	return page
}

func connOf(s Session) uint64 {
	id, _ := ParseSessionID(s.ID) // a node's own
	return id.Conn
}

// sessionEndRequest names a user, or one session.
type sessionEndRequest struct {
	User    string `json:"user,omitempty"`
	Session string `json:"session,omitempty"`
}

// SessionsEnded is what became of the sessions that an operator ended. Their clients connect again.
type SessionsEnded struct {
	User    core.UserID      `json:"user,omitempty"`    // whose they were
	Session string           `json:"session,omitempty"` // the one that was named
	Nodes   map[string]Ended `json:"nodes"`
}

// Count is how many sessions ended.
func (e SessionsEnded) Count() int {
	n := 0
	for _, one := range e.Nodes {
		n += one.Ended
	}
	return n
}

// Unreached are the nodes that did not answer, in order.
func (e SessionsEnded) Unreached() []string { return OperatorRemoved{Nodes: e.Nodes}.Unreached() }

// sessionEnd ends sessions and leaves the user as it is. KindNotFound where every node answered and
// had none.
func (s *Service) sessionEnd(ctx context.Context, op core.Operator, req sessionEndRequest) (any, error) {
	var out SessionsEnded
	switch {
	case req.Session != "":
		id, err := ParseSessionID(req.Session)
		if err != nil {
			return nil, err
		}
		out = s.cfg.Sessions.EndOne(ctx, id)
	default:
		user, err := core.ParseUserID(req.User)
		if err != nil {
			return nil, err
		}
		out = s.cfg.Sessions.EndAll(ctx, user)
	}
	if out.Count() == 0 && len(out.Unreached()) == 0 {
		return nil, errNoSession(req)
	}
	about := out.User.Short()
	if out.User == "" {
		about = "a client without an identity"
	}
	s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("ended sessions of %s: %s", about, endedText(out.Nodes)))
	return out, nil
}

func errNoSession(req sessionEndRequest) error {
	if req.Session != "" {
		return core.Errorf(core.KindNotFound, "the session %s is gone: it has ended, or its node was restarted", req.Session).
			WithNext("see who is connected: `unibusd session list`")
	}
	return core.Errorf(core.KindNotFound, "%s has no open session", core.UserID(req.User).Short()).
		WithNext("see who is connected: `unibusd session list`")
}

// SessionPage is one page of open sessions. KindInvalid for a request that Check refuses.
func (c *Client) SessionPage(ctx context.Context, r SessionPageRequest) (SessionPage, error) {
	if err := r.Check(); err != nil {
		return SessionPage{}, err
	}
	return call[SessionPage](ctx, c, TargetAny, verbSessionPage, r)
}

// SessionPages yields page after page. An error is the last thing that comes.
func SessionPages(ctx context.Context, fetch func(context.Context, SessionPageRequest) (SessionPage, error), r SessionPageRequest) iter.Seq2[SessionPage, error] {
	return pages(ctx, fetch, r, func(p SessionPage, r *SessionPageRequest) bool {
		return continueAfter(p.Next, len(p.Sessions), &r.After, &r.Limit)
	})
}

// SessionEnd ends one session, by its id. KindNotFound where it is gone.
func (c *Client) SessionEnd(ctx context.Context, id string) (SessionsEnded, error) {
	return call[SessionsEnded](ctx, c, TargetAny, verbSessionEnd, sessionEndRequest{Session: id})
}

// SessionEndAll ends every session of a user. KindNotFound where there is none.
func (c *Client) SessionEndAll(ctx context.Context, user string) (SessionsEnded, error) {
	return call[SessionsEnded](ctx, c, TargetAny, verbSessionEnd, sessionEndRequest{User: user})
}
