package nodetest

import (
	"fmt"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/migrate"
)

// servingBudget is how long a cold cluster of processes may take until a node
// serves.
const servingBudget = 30 * time.Second

// WaitServing waits until the named nodes, or all, serve a store of the backend.
func (p *Processes) WaitServing(backend core.Backend, nodes ...int) {
	p.t.Helper()
	for i, n := range p.Configs {
		if len(nodes) > 0 && !contains(nodes, i) {
			continue
		}
		cl := p.Client(i)
		Wait(p.t, servingBudget, func() error {
			st, err := Status(p.t.Context(), cl)
			if err != nil {
				return err
			}
			if st.From != n.Name || st.Serving.Backend != backend {
				return fmt.Errorf("%s serves %s: %s", st.From, st.Serving.Backend, st.Serving.Reason)
			}
			return nil
		})
	}
}

// Node is the index of the node with that name, -1 if there is none.
func (p *Processes) Node(name string) int {
	for i, n := range p.Configs {
		if n.Name == name {
			return i
		}
	}
	return -1
}

// WaitMigration waits until the migration is in a state. A migration that stops
// with an error fails the test.
func WaitMigration(t testing.TB, cl *admin.Client, limit time.Duration, state migrate.State) migrate.Status {
	t.Helper()
	var st migrate.Status
	Wait(t, limit, func() error {
		var err error
		if st, err = cl.Migration(t.Context()); err != nil {
			return err
		}
		if st.Error != nil {
			t.Fatalf("the migration stopped in %s: %v", st.State, st.Error)
		}
		if st.State != state {
			return fmt.Errorf("the migration is in %s, not in %s", st.State, state)
		}
		return nil
	})
	return st
}
