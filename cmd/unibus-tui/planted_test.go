package main

import (
	"testing"

	"unibus/cmd/cli/clitest"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestPlantedSecretsAppearNowhere: every command of the console's program, with a
// secret in each flag, beside a real node.
func TestPlantedSecretsAppearNowhere(t *testing.T) {
	t.Parallel()
	seed, _, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	secrets := clitest.Secrets(string(seed))
	p := nodetest.StartProcesses(t, programs.Program(t, "unibusd"), nodetest.Config{Nodes: 1})
	p.Client()
	for turn := range secrets {
		clitest.Planted(t, clitest.PlantedConfig{
			Program: programs.Program(t, "unibus-tui"), Root: root(), Turn: turn,
			Given: map[string]string{"server": p.URLs()[0], "identity": p.AdminSeedFile},
		}, secrets)
	}
	if found := clitest.Found(p.Log(0), secrets); found != "" {
		t.Errorf("the node's log shows %s:\n%s", found, p.Log(0))
	}
}
