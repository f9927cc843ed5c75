package node

import (
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/cluster"
)

// TestRemovedAdminOfAnotherNodeDoesNotCount: another node last said that it has two admins,
// and one of them was removed since. The other one is its last.
func TestRemovedAdminOfAnotherNodeDoesNotCount(t *testing.T) {
	t.Parallel()
	admin := func(key string) core.Operator {
		return core.Operator{Key: key, Name: key, Role: core.OperatorAdmin}
	}
	here := map[string]core.Operator{"ben": admin("ben"), "eve": admin("eve")}
	view := cluster.View{Nodes: []cluster.Node{{
		Name: "n3", Online: true, Info: &cluster.Info{Name: "n3", Operators: &cluster.Operators{List: []core.Operator{admin("ana"), admin("ben")}}},
	}}}
	if _, err := removable(view, "n2", here, []string{"ana"}, "ben"); err == nil || !strings.Contains(err.Error(), "n3 would have no admin left") {
		t.Errorf("the last admin of n3: %v", err)
	}
	if op, err := removable(view, "n2", here, nil, "ben"); err != nil || op.Key != "ben" {
		t.Errorf("one of two admins: %+v, %v", op, err)
	}
}
