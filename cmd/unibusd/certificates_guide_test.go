package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core/admin"
	"unibus/core/guide"
	"unibus/core/keys"
	"unibus/core/nodetest"
)

// TestGuideOfCertificates: an operator replaces both CAs of three nodes by the guide, and types
// what it says. In the end every node shows certificates of the new CAs alone, and a client and
// the routes verify them without the old ones.
func TestGuideOfCertificates(t *testing.T) {
	t.Parallel()
	nodetest.SkipShort(t)
	p := nodetest.PrepareProcesses(t, program(t, "unibusd"), nodetest.Config{Store: "kv", Listed: true, TLS: true})
	work := t.TempDir() // where certificates are made
	secureWithFiles(t, p, work)
	p.StartAll()
	servers := strings.ReplaceAll(strings.Join(p.URLs(), ","), "nats://", "tls://")
	o := &operator{Processes: p, t: t, flags: []string{"--server", servers, "--identity", p.AdminSeedFile, "--tls-ca", filepath.Join(work, "ops.crt")}}
	awaitHealthy(t, p, filepath.Join(work, "ops.crt"))

	var r guide.Report
	if code := o.run(&r, "guide", "certificates"); code != exitNextStep || !strings.HasPrefix(r.Text, "Next: Create the new CA of the routes, and copy a bundle of both to "+p.Configs[0].RouteTLSCA) {
		t.Fatalf("at the start: exit %d: %s", code, r.Text)
	}
	round := strings.Fields(strings.TrimPrefix(r.Resume, "unibusd "))[:4] // guide certificates --old-ca IDS
	end, typed := time.Now().Add(3*time.Minute), map[string]bool{}
	for code := exitNextStep; code != 0; {
		if time.Now().After(end) {
			t.Fatalf("%s: %+v", r.Text, open(r))
		}
		if code = o.run(&r, round...); code == exitNextStep {
			typePhase(t, work, r, typed)
		}
	}
	if len(typed) != (1+2+3+3)+(1+3+1) { // the bus has one bundle here, that of the operator
		t.Errorf("%d steps were done", len(typed))
	}
	awaitHealthy(t, p, filepath.Join(work, "ops.crt"))
	checkOnlyNewCA(t, p, work)
	if code := o.run(&r, "guide", "certificates"); code != exitNextStep || !strings.HasPrefix(r.Text, "Next: Create the new CA") {
		t.Errorf("another round: exit %d: %s", code, r.Text)
	}
}

// secureWithFiles gives every node a route certificate and a bundle of its own, and links the
// directories of the CAs as the documents name them.
func secureWithFiles(t *testing.T, p *nodetest.Processes, work string) {
	t.Helper()
	run := func(line string) { t.Helper(); shell(t, work, line) }
	run("unibusd cert ca --out route-ca")
	run("ln -s " + filepath.Join(filepath.Dir(p.Configs[0].Data), "client-ca") + " bus-ca && cp bus-ca/ca.crt ops.crt")
	for i := range p.Configs {
		c := &p.Configs[i]
		dir := c.Data + "-route"
		run(fmt.Sprintf("unibusd cert node --ca route-ca --name %s --host 127.0.0.1 --out %s && cp route-ca/ca.crt %s/ca.crt", c.Name, dir, dir))
		c.RouteTLSCert, c.RouteTLSKey, c.RouteTLSCA = filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"), filepath.Join(dir, "ca.crt")
		nodetest.WriteConfig(t, c.Data+".toml", *c, "")
	}
}

// shell runs a line of the guide as it is printed. There is no user unibus here.
func shell(t *testing.T, dir, line string) {
	t.Helper()
	line = strings.ReplaceAll(line, "-o unibus -g unibus ", "")
	if rest, ok := strings.CutPrefix(line, "unibusd "); ok {
		line = program(t, "unibusd") + " " + rest
	}
	cmd := exec.Command("sh", "-ec", line)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// typePhase does the open step, and those after it that are the same for the other nodes: an
// operator has a terminal on each.
func typePhase(t *testing.T, work string, r guide.Report, typed map[string]bool) {
	t.Helper()
	first := slices.IndexFunc(r.Steps, func(s guide.Step) bool { return s.State != guide.Done })
	if r.Steps[first].State != guide.Next {
		return
	}
	phase := func(s guide.Step) string { return strings.Join(strings.Fields(s.Title)[:2], " ") }
	for _, s := range r.Steps[first:] {
		if phase(s) != phase(r.Steps[first]) {
			return
		}
		if typed[s.Title] {
			continue // the node has not read it yet
		}
		typed[s.Title] = true
		for _, line := range s.Type {
			shell(t, work, line)
		}
	}
}

// awaitHealthy asks anew each time, by the bundle as it is now.
func awaitHealthy(t *testing.T, p *nodetest.Processes, bundle string) {
	t.Helper()
	nodetest.Wait(t, time.Minute, func() error {
		pool, err := keys.LoadPool(bundle)
		if err != nil {
			return err
		}
		cl := admin.NewClient(admin.ClientConfig{Servers: p.URLs(), Identity: p.Admin, Name: t.Name(), TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}})
		if err := cl.Open(t.Context()); err != nil {
			return err
		}
		defer cl.Close()
		return nodetest.CheckHealthy(cl)
	})
}

// checkOnlyNewCA asks the nodes themselves: clients that know the new CA alone are served, and
// those that know the old one are not. No file of a node has the old CA of the routes.
func checkOnlyNewCA(t *testing.T, p *nodetest.Processes, work string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i, c := range p.Configs {
		for ca, good := range map[string]bool{"bus-ca-2": true, "bus-ca": false} {
			nc, err := p.Connect(i, p.Admin, nats.RootCAs(filepath.Join(work, ca, keys.CACertFile)))
			if err == nil {
				err = nc.FlushWithContext(ctx)
				nc.Close()
			}
			if good != (err == nil) {
				t.Errorf("%s, %s: %v", c.Name, ca, err)
			}
		}
		bundle, err := os.ReadFile(c.RouteTLSCA)
		if err != nil {
			t.Fatal(err)
		}
		if want := read(t, filepath.Join(work, "route-ca-2", keys.CACertFile)); string(bundle) != want {
			t.Errorf("%s has %s", c.Name, bundle)
		}
		if !strings.Contains(p.Log(i), "a new bundle of route CAs is in use") {
			t.Errorf("%s did not log it", c.Name)
		}
	}
}
