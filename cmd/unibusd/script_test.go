package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"unibus/core/keys"
	"unibus/core/nodetest"
	"unibus/core/store/sqlite/hostile"
)

// runSQL runs statements on a file as another program would: sql FILE STATEMENT...
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sql FILE STATEMENT...")
	}
	ts.Check(hostile.Spoil(ts.MkAbs(args[0]), args[1:]...))
}

// TestScripts drives the real program; each file in testdata/script is a story.
func TestScripts(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	commands := nodetest.ScriptCommands()
	commands["sql"] = runSQL
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                commands,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TMPDIR", env.WorkDir)
			env.Setenv(keys.KnownClustersEnv, os.DevNull) // ports are used again by other tests' clusters
			return nil
		},
	})
}
