package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestScripts drives the real program; each file in testdata/script is a story.
func TestScripts(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                nodetest.ScriptCommands(),
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TMPDIR", env.WorkDir)
			env.Setenv(keys.KnownClustersEnv, os.DevNull) // ports are used again by other tests' clusters
			return nil
		},
	})
}
