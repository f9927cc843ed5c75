package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"unibus/cmd/cli/clitest"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/config"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// plantedSeed makes a seed that is planted where it does not belong.
func plantedSeed(t *testing.T) string {
	t.Helper()
	seed, _, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return string(seed)
}

// TestPlantedSecretsAppearNowhere: every command, with a secret in each flag and
// argument, beside a real node: nothing of it is printed, logged, or kept in the audit.
func TestPlantedSecretsAppearNowhere(t *testing.T) {
	t.Parallel()
	secrets := clitest.Secrets(plantedSeed(t))
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Nodes: 1, Seed: nodetest.SampleRows(t, 5)})
	cl := p.Client()
	clitest.Planted(t, clitest.PlantedConfig{
		Program: program(t, "unibusd"), Root: root(),
		Given: map[string]string{
			"server": p.URLs()[0], "identity": p.AdminSeedFile, "listen": "127.0.0.1:0",
			"nodes": "1", "users": "1", "rooms": "1", "for": "1ms", // of the demo
		},
		Args:  map[string]string{"NKEY": p.Viewer.Public(), "NODE": "n1", "GROUP": "meta"},
		Brief: []string{"unibusd serve"},
	}, secrets)
	audit, err := cl.Audit(t.Context(), admin.AuditRequest{Limit: 1000})
	if err != nil || len(audit.Records) == 0 {
		t.Fatalf("no audit: %v", err)
	}
	kept, err := json.Marshal(audit)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"the node's log": p.Log(0), "the audit": string(kept)} {
		if found := clitest.Found(text, secrets); found != "" {
			t.Errorf("%s shows %s:\n%s", what, found, text)
		}
	}
}

// TestPlantedSecretsInTheEnvironment: the same for every variable and every key of the configuration file.
func TestPlantedSecretsInTheEnvironment(t *testing.T) {
	t.Parallel()
	secrets := clitest.Secrets(plantedSeed(t))
	names := []string{"UNIBUS_CONFIG", "UNIBUS_NATS_DEBUG", "UNIBUS_" + secrets[0].Value}
	for _, s := range config.Settings() {
		names = append(names, s.Env())
	}
	for i, name := range names {
		s := secrets[i%len(secrets)]
		if out := clitest.Run(t, program(t, "unibusd"), false, []string{name + "=" + s.Value}, "serve", "--check"); clitest.Found(out, secrets) != "" {
			t.Errorf("%s in %s: %s", s.Name, name, out)
		}
	}
}

// TestContextHoldsTheSeed: a context that the NATS CLI wrote is an identity.
func TestContextHoldsTheSeed(t *testing.T) {
	t.Parallel()
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Nodes: 1})
	p.Client()
	seed := read(t, p.AdminSeedFile)
	dir := clitest.ContextDir(t, map[string]string{
		"data": fmt.Sprintf(`{"url":%q,"nkey":%q}`, p.URLs()[0], clitest.Secrets(seed)[2].Value),
		"env":  fmt.Sprintf(`{"url":%q,"nkey":"env://PLANTED"}`, p.URLs()[0]),
		"file": fmt.Sprintf(`{"url":%q,"nkey":"file://%s"}`, p.URLs()[0], p.AdminSeedFile),
		"var":  fmt.Sprintf(`{"url":%q,"nkey":"$WHERE"}`, p.URLs()[0]),
	})
	for _, name := range []string{"data", "env", "file", "var"} {
		nodetest.Wait(t, 10*time.Second, func() error {
			var doc struct {
				Records []admin.AuditRecord
				Error   *core.Error
			}
			out := clitest.Run(t, program(t, "unibusd"), false, []string{"XDG_CONFIG_HOME=" + dir, "PLANTED=" + seed, "WHERE=" + p.AdminSeedFile}, "audit", "--json", "--context", name)
			if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Error != nil {
				return fmt.Errorf("%s: %s", name, out)
			}
			return nil
		})
	}
}
