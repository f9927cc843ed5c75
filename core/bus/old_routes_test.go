package bus

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"unibus/core/logtest"
)

// TestOldRoutesAreNotLogged: an address at which no node is any more is named once, and the
// server's vain tries are left out. Every other route's errors are logged.
func TestOldRoutesAreNotLogged(t *testing.T) {
	t.Parallel()
	log := &logtest.Buffer{}
	s := &Server{log: slog.New(slog.NewTextHandler(log, nil))}
	l := &natsLogger{log: s.log, oldRoutes: &s.oldRoutes}
	try := func(err string) { l.Errorf("Error trying to connect to route (attempt %v): %v", 7, errors.New(err)) }
	const old, other = "dial tcp 10.0.0.3:6222: connect: connection refused", "dial tcp 110.0.0.3:6222: connect: connection refused"
	try(old)
	for range 3 {
		s.SetOldRoutes([]string{"10.0.0.3:6222", "n4.example.org:6222"})
		try(old)
		try("lookup n4.example.org: no such host")
	}
	try(other)
	s.SetOldRoutes(nil)
	try(old)
	if got := log.String(); strings.Count(got, "connection refused") != 3 || strings.Count(got, "leads to no node") != 2 || strings.Contains(got, "no such host") {
		t.Errorf("the log:\n%s", got)
	}
}
