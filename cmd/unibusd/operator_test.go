package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/nodetest"
)

// TestOperatorRemoveNamesTheUnreached: the command says which node it did not
// reach, and a script hears of it by the exit code.
func TestOperatorRemoveNamesTheUnreached(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{})
	cl := p.Client(0)
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err == nil && (st.Meta.Online != 3 || st.Meta.Leader == "" || cl.ClusterKey() == "") {
			err = fmt.Errorf("%d online, leader %q, key %q", st.Meta.Online, st.Meta.Leader, cl.ClusterKey())
		}
		return err
	})
	p.Stop(2)
	var got admin.OperatorRemoved
	nodetest.Wait(t, 30*time.Second, func() error {
		out, err := exec.Command(program(t, "unibusd"), "operator", "remove", p.Viewer.Public(), "--json", "--server", p.URLs()[0], "--identity", p.AdminSeedFile).Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != core.ExitCode(core.Errorf(core.KindUnavailable, "x")) {
			t.Fatalf("ended with %v: %s", err, out)
		}
		got = admin.OperatorRemoved{}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got.Key == "" {
			return fmt.Errorf("an election is under way: %s", out)
		}
		return nil
	})
	if got.Name != "vic" || fmt.Sprint(got.Unreached()) != "[n3]" || got.Nodes["n2"].Unknown {
		t.Errorf("%+v", got)
	}
}
