package bus

import (
	"sync"

	"github.com/nats-io/nats-server/v2/server"

	"unibus/core"
	"unibus/core/auth"
)

// identityAccounts are the accounts of single identities, with their imports. The
// answers to an identity's requests stay in its account: elsewhere an answer could be
// a write with the server's rights.
type identityAccounts struct {
	mu   sync.Mutex
	made map[string]bool // accounts whose imports are complete
}

// prepare makes the accounts of some grants before their first session. Otherwise the
// other nodes would hear of subscriptions in accounts that they do not know, and log
// an error for each.
func (a *identityAccounts) prepare(srv *server.Server, grants []auth.Grant) error {
	for _, g := range grants {
		if _, err := a.account(srv, g); err != nil {
			return err
		}
	}
	return nil
}

// PrepareAccounts makes the accounts of operators that were added since Open.
func (s *Server) PrepareAccounts() error {
	srv := s.running()
	if srv == nil {
		return nil
	}
	return s.auth.accounts.prepare(srv, s.auth.decider.OperatorGrants())
}

// account returns the account of a grant, and makes that of an identity where it is missing.
func (a *identityAccounts) account(srv *server.Server, grant auth.Grant) (*server.Account, error) {
	if len(grant.Imports) == 0 {
		acc, err := srv.LookupAccount(grant.Account)
		if err != nil {
			return nil, core.Errorf(core.KindFailed, "the account %q of this connection does not exist", grant.Account)
		}
		return acc, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	acc, _ := srv.LookupOrRegisterAccount(grant.Account)
	if a.made[grant.Account] {
		return acc, nil
	}
	for _, i := range grant.Imports {
		if err := addImport(srv, acc, i); err != nil {
			return nil, core.Errorf(core.KindFailed, "%s cannot be made available in the account %q: %w", i.Subject, grant.Account, err)
		}
	}
	if a.made == nil {
		a.made = map[string]bool{}
	}
	a.made[grant.Account] = true
	return acc, nil
}

func addImport(srv *server.Server, acc *server.Account, i auth.Import) error {
	from, err := srv.LookupAccount(i.Account)
	if err != nil {
		return err
	}
	if i.Stream {
		return acc.AddStreamImport(from, i.Subject, "")
	}
	if i.MappedFrom != "" {
		if err := acc.AddMapping(i.MappedFrom, i.As); err != nil {
			return err
		}
	}
	return acc.AddServiceImport(from, i.As, i.Subject)
}
