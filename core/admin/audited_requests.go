package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"unibus/core"
	"unibus/core/audit"
	"unibus/core/auth"
	"unibus/core/cluster"
	"unibus/core/request"
)

// guard checks signed requests; *auth.Replay is one.
type guard interface {
	// Check is for what only reads: signed for this cluster and connection, lately.
	Check(key, subject string, headers map[string][]string, body []byte) error
	// Begin is for what changes something: the same, and new to this node. auth.Once says
	// whether it is new to the cluster.
	Begin(ctx context.Context, key, subject string, headers map[string][]string, body []byte, restores bool) (auth.Once, error)
}

// auditor records what operators do; *audit.Log is one.
type auditor interface {
	Begin(ctx context.Context, in audit.Intent) (audit.Action, error)
	End(ctx context.Context, a audit.Action, result error)
	Page(ctx context.Context, q audit.Query) (audit.Page, error)
	RawPage(ctx context.Context, from uint64) (audit.RawPage, error)
}

// serveRead serves a verb that changes nothing, or a part of a request that was admitted before.
func (s *Service) serveRead(verb Verb, f verbFunc, c request.Call) verbFunc {
	return func(ctx context.Context, op core.Operator, body []byte) (any, error) {
		if err := s.cfg.Guard.Check(op.Key, c.Subject, c.Headers, body); err != nil {
			s.cfg.Log.Warn("a request was not let through", "verb", verb, "by", op.Name, "reason", err)
			return nil, err
		}
		out, err := f(ctx, op, body)
		return out, s.readError(ctx, err)
	}
}

// readError says that nothing was done and, where that is the cause, that there is no quorum.
func (s *Service) readError(ctx context.Context, err error) error {
	return core.ReadError(s.quorumError(ctx, err))
}

// quorumError says of an error for want of an answer whether a majority of the nodes is
// missing, or is there and elects a leader. Only the first has nodes to start.
func (s *Service) quorumError(ctx context.Context, err error) error {
	if core.KindOf(err) != core.KindUnavailable {
		return err
	}
	v := s.cfg.Cluster.View(ctx)
	switch m := v.Meta; {
	case m.Online < m.Needed:
		return core.Errorf(core.KindUnavailable, "no quorum: %d of %d nodes answer, and %d are needed; %w", m.Online, m.Size, m.Needed, err).
			WithOutcome(core.OutcomeOf(err)).WithNext("see which nodes are down: unibus-tui status")
	case v.IsElecting():
		return core.Errorf(core.KindUnavailable, "the nodes elect a leader, or have just elected one: %w", err).
			WithOutcome(core.OutcomeOf(err)).WithNext("run it again; an election takes up to ten seconds")
	}
	return err
}

// serveChange checks the signer, records the intent and remembers the nonce at the same time,
// runs the verb, and records the outcome.
func (s *Service) serveChange(verb Verb, rule Rule, f verbFunc, c request.Call) verbFunc {
	return func(ctx context.Context, op core.Operator, body []byte) (any, error) {
		once, err := s.cfg.Guard.Begin(ctx, op.Key, c.Subject, c.Headers, body, rule.WorksWithoutQuorum)
		if err != nil {
			return nil, s.quorumError(ctx, s.logRefusal(verb, op, err))
		}
		unused := make(chan error, 1)
		go func() { unused <- once(ctx) }()
		action, notRecorded := s.cfg.Audit.Begin(ctx, audit.Intent{By: op, Verb: string(verb), Args: summary(body), Restores: rule.WorksWithoutQuorum})
		used := <-unused
		switch {
		case used != nil && notRecorded != nil:
			return nil, s.quorumError(ctx, s.logRefusal(verb, op, used))
		case used != nil:
			s.cfg.Audit.End(ctx, action, used)
			return nil, s.quorumError(ctx, s.logRefusal(verb, op, used))
		case notRecorded != nil:
			return nil, s.quorumError(ctx, notRecorded)
		}
		ctx, change := core.BeginChange(ctx)
		out, err := f(ctx, op, body)
		if change.Sent() { // else the verb itself knows: not all of them write to the store
			err = change.Explain(err)
		}
		s.cfg.Audit.End(ctx, action, err)
		if rule.NeedsStore {
			err = s.quorumError(ctx, err)
		}
		return out, err
	}
}

// logRefusal logs why a request was refused, and returns the error. A refusal that
// looks like a captured request is an event, too.
func (s *Service) logRefusal(verb Verb, op core.Operator, err error) error {
	s.cfg.Log.Warn("a request was not let through", "verb", verb, "by", op.Name, "reason", err)
	if core.KindOf(err) == core.KindRefused {
		s.cfg.Cluster.Note(cluster.Note, op.Name, fmt.Sprintf("%s was refused by %s: %v", verb, s.cfg.Node, err))
	}
	return err
}

// auditedFields are the fields of requests that the audit shows, and their order. The
// audit shows no other field: a field that is added later may be a secret.
func auditedFields() []string {
	return []string{"id", "name", "role", "expires", "group", "to", "replicas", "mode", "node", "room", "user", "session", "db", "dry_run", "no_backup", "cutover", "rate", "discard", "ignore", "for_ms", "quorum"}
}

// summary says in a few words what a request is about.
func summary(body []byte) string {
	if len(bytes.TrimSpace(body)) == 0 {
		return ""
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return "a request that cannot be read"
	}
	var words []string
	for _, name := range auditedFields() {
		value := fields[name]
		if slices.Contains(listFields(), name) {
			value = joinTexts(value)
		}
		text := auditedValue(value)
		if name == "expires" && len(value) > 0 {
			text = expiryShown(value)
		}
		if text != "" {
			words = append(words, name+"="+text)
		}
	}
	return strings.Join(words, " ")
}

// listFields are the fields of migrate.Options that list what the operator leaves
// behind: nodes, and tables or columns. Every other list stays out of the audit.
func listFields() []string { return []string{"discard", "ignore"} }

// joinTexts makes one text of a list of texts; nothing of any other value.
func joinTexts(list json.RawMessage) json.RawMessage {
	var texts []string
	if err := json.Unmarshal(list, &texts); err != nil {
		return nil
	}
	joined, err := json.Marshal(strings.Join(texts, ","))
	if err != nil {
		return nil
	}
	return joined
}

// auditedValue is a value as one word; "" for an empty value, and for one that is no single value.
func auditedValue(v json.RawMessage) string {
	var text string
	switch s := string(v); {
	case s == "", s == "null", s == `""`, s == "false", s == "0", s[0] == '{', s[0] == '[':
		return ""
	case json.Unmarshal(v, &text) == nil:
		return core.SummaryWord(text)
	}
	return core.SummaryWord(string(v))
}

// auditPage is how many records a page has where no limit is given.
const auditPage = 200

func (s *Service) audit(ctx context.Context, _ core.Operator, req AuditRequest) (any, error) {
	if req.Raw {
		raw, err := s.cfg.Audit.RawPage(ctx, req.From)
		if err != nil {
			return nil, err
		}
		return Audit{Node: s.cfg.Node, Records: []AuditRecord{}, Raw: &raw}, nil
	}
	if req.Limit <= 0 {
		req.Limit = auditPage
	}
	page, err := s.cfg.Audit.Page(ctx, audit.Query{Since: req.Since, Before: req.Before, Limit: min(req.Limit, request.PageSize)})
	if err != nil {
		return nil, err
	}
	if page.Records == nil {
		page.Records = []AuditRecord{}
	}
	return Audit{Node: s.cfg.Node, Records: page.Records, Next: page.Next}, nil
}
