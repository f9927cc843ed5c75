package bus

import (
	"log/slog"

	"unibus/core"
	"unibus/core/keys"
)

// loadRevocations reads the list of revoked route certificates; nil where none is
// configured. An older list does not replace a newer one, because it would make
// revoked certificates valid again.
func (s *Server) loadRevocations() (*reloaded[*keys.Revocations], error) {
	c := s.cfg.Cluster
	if c.CRLFile == "" {
		return nil, nil //nolint:nilnil // nil holds no revocations
	}
	return newReloaded(s, reloadedFile[*keys.Revocations]{
		name: "a new list of revoked certificates", path: c.CRLFile,
		beside: []string{c.CAFile}, // a list counts only with its authority
		load: func(last *keys.Revocations) (*keys.Revocations, error) {
			next, err := keys.LoadRevocations(c.CRLFile, c.CAFile)
			if err == nil && next.OlderThan(last) {
				err = core.Errorf(core.KindInvalid, "it has number %d and is older than the one in use, which has %d", next.Number, last.Number)
			}
			return next, err
		},
		describe: func(list *keys.Revocations) slog.Attr { return slog.Any("number", list.Number) },
	})
}
