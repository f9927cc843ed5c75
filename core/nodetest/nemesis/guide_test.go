//go:build nemesis && linux

package nemesis

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"unibus/core/nodetest"
)

// guide is a document whose commands are run as they are written.
type guide struct {
	t    *testing.T
	text string
}

func readGuide(t *testing.T, name string) guide {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "operations", name))
	if err != nil {
		t.Fatal(err)
	}
	return guide{t, string(text)}
}

// block is the nth block of commands below a heading.
func (g guide) block(heading string, n int) string {
	g.t.Helper()
	_, below, found := strings.Cut(g.text, "\n## "+heading+"\n")
	below, _, _ = strings.Cut(below, "\n## ")
	blocks := regexp.MustCompile("(?s)\n *```\n(.*?)\n *```").FindAllStringSubmatch(below, -1)
	if !found || len(blocks) <= n {
		g.t.Fatalf("the document has no block %d below %q", n, heading)
	}
	return blocks[n][1]
}

// installation is three hosts and the machine from which they are operated, beside one that is free.
type installation struct {
	t        *testing.T
	three    guide
	nodes    []*nodetest.Host
	desk     *nodetest.Host
	free     *nodetest.Host
	work     string
	operator string
	named    bool              // hosts have names; else the guide's are replaced by addresses
	rewrite  *strings.Replacer // of the guide's commands
}

func newInstallation(t *testing.T, named bool) *installation {
	t.Helper()
	in := &installation{t: t, three: readGuide(t, "three-hosts.md"), work: t.TempDir(), named: named}
	for from, to := range map[string]string{programs.Program(t, "unibusd"): "unibusd", programs.Program(t, "unibus-tui"): "unibus-tui"} {
		in.copyFile(from, "bin/"+to, 0o755)
	}
	for _, name := range []string{"unibusd.service", "unibusd.toml"} {
		in.copyFile(filepath.Join("..", "..", "..", "docs", name), "docs/"+name, 0o644)
	}
	hosts := nodetest.NewHosts(t, in.work, "example.org", "n1", "n2", "n3", "free", "desk")
	in.nodes, in.free, in.desk = hosts[:3], hosts[3], hosts[4]
	var pairs []string
	if !named {
		pairs = append(pairs, "--host $n.example.org", "--name $n --host $(getent hosts $n.example.org | cut -d\" \" -f1)")
		for _, h := range in.nodes {
			pairs = append(pairs, h.Name+".example.org", h.Address)
		}
	}
	in.rewrite = strings.NewReplacer(pairs...)
	in.run(in.desk, "install -m 0755 bin/unibusd bin/unibus-tui /usr/local/bin/")
	return in
}

func (in *installation) copyFile(from, to string, mode os.FileMode) {
	in.t.Helper()
	data, err := os.ReadFile(from)
	to = filepath.Join(in.work, to)
	nodetest.MkdirAll(in.t, filepath.Dir(to))
	if err == nil {
		err = os.WriteFile(to, data, mode)
	}
	if err != nil {
		in.t.Fatal(err)
	}
}

// run runs commands on a host. Those of the guide for n1 become the host's.
func (in *installation) run(h *nodetest.Host, script string) string {
	in.t.Helper()
	out, err := h.Run(in.rewrite.Replace(script))
	if err != nil {
		in.t.Fatal(err)
	}
	return out
}

func (in *installation) onNode(h *nodetest.Host, script string) {
	in.t.Helper()
	in.run(h, strings.ReplaceAll(script, "n1-", h.Name+"-"))
}

// prepare plays steps 1 and 2.
func (in *installation) prepare() {
	in.t.Helper()
	out := in.run(in.desk, in.three.block("1. Keys and certificates", 0))
	in.operator = regexp.MustCompile(`\bU[A-Z2-7]{55}\b`).FindString(out)
	sample, err := os.ReadFile(filepath.Join(in.work, "docs/unibusd.toml"))
	if err != nil || in.operator == "" {
		in.t.Fatalf("no key in %q: %v", out, err)
	}
	for _, h := range in.nodes {
		edited := strings.Replace(string(sample), `name = "n1"`, fmt.Sprintf("name = %q", h.Name), 1)
		edited = regexp.MustCompile(`(?m)^key  = "U[A-Z2-7]+"`).ReplaceAllString(edited, fmt.Sprintf("key = %q", in.operator))
		if err := os.WriteFile(filepath.Join(in.work, "unibusd.toml"), []byte(in.rewrite.Replace(edited)), 0o644); err != nil {
			in.t.Fatal(err)
		}
		in.onNode(h, in.three.block("2. Files on each host", 0))
		in.onNode(h, in.three.block("2. Files on each host", 1))
	}
}

// start plays step 3 on a host.
func (in *installation) start(h *nodetest.Host) {
	in.t.Helper()
	in.onNode(h, in.three.block("3. Start", 0))
}

// status plays step 4 with the console's text.
func (in *installation) status() string {
	script := strings.Replace(in.three.block("4. Look", 0), "unibus-tui ", "unibus-tui status ", 1) + " || true"
	out, err := in.desk.Run(in.rewrite.Replace(script))
	if err != nil {
		return err.Error()
	}
	return out
}

func (in *installation) await(limit time.Duration, words ...string) {
	in.t.Helper()
	nodetest.Wait(in.t, limit, func() error {
		out := in.status()
		for _, word := range words {
			if !strings.Contains(out, word) {
				return fmt.Errorf("status does not say %q: %s", word, out)
			}
		}
		return nil
	})
}

// TestGuideOfThreeHosts plays docs/operations/three-hosts.md to the letter, on hosts with names and on
// hosts with addresses alone. Then it plays the replacement of a CA of
// docs/operations/certificates.md, and starts a clone of one host.
func TestGuideOfThreeHosts(t *testing.T) {
	for name, named := range map[string]bool{"names": true, "addresses": false} {
		t.Run(name, func(t *testing.T) {
			in := newInstallation(t, named)
			in.prepare()
			in.start(in.nodes[0])
			in.start(in.nodes[1])
			in.await(30*time.Second, "has not heard n3 yet", in.rewrite.Replace("n3.example.org:6222"))
			in.start(in.nodes[2])
			in.await(60*time.Second, "example: healthy", "3 of 3 online")
			in.replaceRouteCA()
			in.startClone()
			in.await(60*time.Second, "example: healthy", "3 of 3 online")
		})
	}
}

// replaceRouteCA plays the steps, and waits for what the document says that one sees.
func (in *installation) replaceRouteCA() {
	in.t.Helper()
	const heading = "Replacing a CA"
	doc := readGuide(in.t, "certificates.md")
	logged := func(times int) {
		in.t.Helper()
		for _, h := range in.nodes {
			nodetest.Wait(in.t, 30*time.Second, func() error {
				if n := strings.Count(h.Log(), "a new bundle of route CAs is in use"); n != times {
					return fmt.Errorf("%s has logged %d new bundles, not %d", h.Name, n, times)
				}
				return nil
			})
		}
	}
	in.run(in.desk, doc.block(heading, 0))
	for _, h := range in.nodes {
		in.onNode(h, doc.block(heading, 1))
	}
	logged(1)
	in.run(in.desk, doc.block(heading, 2))
	for _, h := range in.nodes {
		in.onNode(h, doc.block(heading, 3))
	}
	for _, h := range in.nodes {
		in.onNode(h, doc.block(heading, 4))
	}
	logged(2)
	in.await(60*time.Second, "example: healthy", "3 of 3 online")
	in.run(in.nodes[2], "systemctl restart unibusd") // with the new files alone
	in.await(60*time.Second, "example: healthy", "3 of 3 online")
}

// startClone starts a copy of n2's machine, which must say why it does not run.
func (in *installation) startClone() {
	in.t.Helper()
	hosts, err := in.free.Run("cat /etc/hosts")
	if err != nil {
		in.t.Fatal(err)
	}
	in.nodes[1].CopyTo(in.free)
	in.run(in.free, "cat >/etc/hosts <<'EOF'\n"+hosts+"EOF\nsystemctl start unibusd")
	nodetest.Wait(in.t, 30*time.Second, func() error {
		if log := in.free.Log(); !strings.Contains(log, "another unibusd runs as n2") || !strings.Contains(log, in.rewrite.Replace("n2.example.org:6222")) {
			return fmt.Errorf("the clone writes: %s", log)
		}
		return nil
	})
	if out := in.status(); !strings.Contains(out, "healthy") {
		in.t.Errorf("with the clone refused: %s", out)
	}
}
