package node_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"unibus/core"
	"unibus/core/nodetest"
)

// scrape is what a node's /metrics says, by series.
type scrape map[string]float64

// ask returns the answer of a node's HTTP address.
func ask(t testing.TB, addr, path string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func scrapeOf(t testing.TB, addr string) scrape {
	t.Helper()
	status, text, err := ask(t, addr, "/metrics")
	if err != nil || status != http.StatusOK {
		t.Fatalf("/metrics: %d %v %s", status, err, text)
	}
	s := scrape{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if !strings.HasPrefix(line, "unibus_") || at < 0 {
			continue
		}
		if s[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	return s
}

// until scrapes until every series has the value that is wanted.
func until(t testing.TB, addr string, want scrape) (s scrape) {
	t.Helper()
	nodetest.Wait(t, 60*time.Second, func() error {
		s = scrapeOf(t, addr)
		for series, v := range want {
			if got, ok := s[series]; !ok || got != v {
				return fmt.Errorf("%s is %v (there: %v), want %v", series, got, ok, v)
			}
		}
		return nil
	})
	return s
}

func wantReady(t *testing.T, addr string, status int, text string) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		got, said, err := ask(t, addr, "/readyz")
		if err != nil || got != status || !strings.Contains(said, text) {
			return fmt.Errorf("/readyz: %d %s %v, want %d with %q", got, said, err, status, text)
		}
		return nil
	})
}

// metered starts a cluster whose first node serves metrics, and returns their address.
func metered(t testing.TB, cfg nodetest.Config) (*nodetest.Cluster, string) {
	t.Helper()
	cfg.Store = core.BackendKV
	before := cfg.Before
	cfg.Before = func(c *nodetest.Cluster) {
		c.Configs[0].MetricsListen = "127.0.0.1:0"
		if before != nil {
			before(c)
		}
	}
	c := nodetest.Start(t, cfg)
	c.WaitServing(core.BackendKV, 0, 1, 2)
	return c, c.Nodes[0].MetricsAddr()
}

// TestMetricsFollowTheCluster: a node's metrics show the true state, in every state.
func TestMetricsFollowTheCluster(t *testing.T) {
	t.Parallel()
	c, addr := metered(t, nodetest.Config{})
	until(t, addr, scrape{
		"unibus_verdict": 0, "unibus_incidents_open": 0, "unibus_meta_leader": 1, "unibus_meta_peers_online": 3, `unibus_node_up{node="n3"}`: 1, `unibus_serving{backend="kv"}`: 1,
		`unibus_bucket_replica_current{bucket="UNIBUS_users",node="n2"}`: 1, `unibus_bucket_leader{bucket="UNIBUS_audit"}`: 1,
	})
	wantReady(t, addr, http.StatusOK, "ready")

	ann := people(t, c, 1)[0]
	until(t, addr, scrape{"unibus_users": 1, "unibus_sessions": 1, `unibus_admissions_total{kind="user"}`: 1})
	stranger := nodetest.Identity(t)
	if _, err := c.Connect(0, stranger); err == nil {
		t.Fatal("a stranger is admitted")
	}
	until(t, addr, scrape{`unibus_denials_total{reason="unknown_or_revoked"}`: 1})

	op := c.Client(0, c.Admin)
	if _, err := op.NodeDrain(t.Context(), "n1", time.Hour); err != nil {
		t.Fatal(err)
	}
	wantReady(t, addr, http.StatusServiceUnavailable, "n1 is in maintenance")
	until(t, addr, scrape{`unibus_node_maintenance{node="n1"}`: 1})
	ann.over(t, 30*time.Second)
	if _, err := op.NodeResume(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	wantReady(t, addr, http.StatusOK, "ready")

	for _, i := range []int{1, 2} {
		if err := c.Nodes[i].Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantReady(t, addr, http.StatusServiceUnavailable, "not ready")
	until(t, addr, scrape{"unibus_verdict": 2, `unibus_node_up{node="n2"}`: 0, `unibus_node_up{node="n3"}`: 0, `unibus_node_up{node="n1"}`: 1})
	if status, text, err := ask(t, addr, "/healthz"); status != http.StatusOK || err != nil {
		t.Errorf("/healthz without a majority: %d %s %v", status, text, err)
	}
	if err := c.Nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	if _, text, err := ask(t, addr, "/healthz"); err == nil {
		t.Errorf("a node that was closed answers %q", text)
	}
}

// TestAlerts tries the rules of docs/monitoring with promtool against what a node says while
// faults are staged. PROMTOOL names the program: `make alerts` fetches it.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool := os.Getenv("PROMTOOL")
	if promtool == "" {
		t.Skip("PROMTOOL is not set: run `make alerts`")
	}
	backups := filepath.Join(t.TempDir(), "backups")
	nodetest.MkdirAll(t, backups)
	c, addr := metered(t, nodetest.Config{TLS: true, CertCheck: time.Millisecond, Before: func(c *nodetest.Cluster) {
		for i := range c.Configs {
			c.Configs[i].BackupDir, c.Configs[i].BackupEvery = backups, "1h"
		}
	}})
	until(t, addr, scrape{"unibus_backup_failures": 0, "unibus_backup_interval_seconds": 3600})
	nodetest.Wait(t, 30*time.Second, func() error {
		if entries, err := os.ReadDir(backups); err != nil || len(entries) != 1 {
			return fmt.Errorf("%v, %w", entries, err)
		}
		return nil
	})
	healthy := settled(t, addr)
	rules := alertRules{t: t, promtool: promtool, healthy: healthy}
	rules.fire(healthy)

	for range 40 {
		turnedAway(t, c)
	}
	rules.fire(settled(t, addr), "UnibusDenials")

	full := settled(t, addr) // the one fault that is not staged: a disk of this machine is not to be filled
	for series := range full {
		if strings.HasPrefix(series, "unibus_disk_free_bytes") {
			full[series] = 1 << 20
		}
	}
	rules.healthy = settled(t, addr)
	rules.fire(full, "UnibusDiskFilling")

	if err := os.Rename(backups, backups+".gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Client(0, c.Admin).BackupNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	failed := until(t, addr, scrape{"unibus_backup_failures": 1})
	rules.fire(failed) // one failure is tried again
	failed["unibus_backup_age_seconds"] += 2 * failed["unibus_backup_interval_seconds"]
	rules.fire(failed, "UnibusBackupOld")

	writeDayCertificate(t, c, 5*time.Hour)
	rules.fire(until(t, addr, scrape{"unibus_verdict": 1}), "UnibusCertificateEnds", "UnibusDegraded")
	writeDayCertificate(t, c, 20*time.Hour)
	rules.healthy = settled(t, addr)

	if err := c.Nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	down := until(t, addr, scrape{"unibus_verdict": 1, `unibus_node_up{node="n2"}`: 0, "unibus_meta_leader": 1, `unibus_bucket_leader{bucket="UNIBUS_users"}`: 1})
	rules.fire(down, "UnibusDegraded", "UnibusNodeDown")

	if err := c.Nodes[2].Close(); err != nil {
		t.Fatal(err)
	}
	wantReady(t, addr, http.StatusServiceUnavailable, "not ready")
	turnedAway(t, c)
	lost := until(t, addr, scrape{"unibus_verdict": 2, "unibus_meta_peers_online": 1, "unibus_meta_leader": 0, `unibus_bucket_leader{bucket="UNIBUS_users"}`: 0})
	rules.fire(lost, "UnibusCritical", "UnibusNoLeader", "UnibusNoQuorum", "UnibusNodeDown", "UnibusUndecided")
}

// settled scrapes a healthy cluster at a moment at which every replica has everything.
func settled(t *testing.T, addr string) (s scrape) {
	t.Helper()
	nodetest.Wait(t, 60*time.Second, func() error {
		s = scrapeOf(t, addr)
		for series, v := range s {
			if strings.HasPrefix(series, "unibus_bucket_replica_current") && v == 0 {
				return fmt.Errorf("%s is 0", series)
			}
		}
		if s["unibus_verdict"] != 0 || s["unibus_meta_peers_online"] != 3 {
			return fmt.Errorf("the verdict is %v, and %v peers are online", s["unibus_verdict"], s["unibus_meta_peers_online"])
		}
		return nil
	})
	return s
}

// turnedAway connects to n1 as somebody who is no user.
func turnedAway(t *testing.T, c *nodetest.Cluster) {
	t.Helper()
	as := nodetest.Identity(t)
	nc, err := nats.Connect(c.URL(0), nats.Nkey(as.Public(), as.SignNonce), nats.Secure(c.TLSConfig()), nats.NoReconnect(), nats.Timeout(5*time.Second))
	if err == nil {
		nc.Close()
		t.Fatal("a stranger is admitted")
	}
}

// alertRules runs promtool over the rules of docs/monitoring.
type alertRules struct {
	t        *testing.T
	promtool string
	healthy  scrape
}

// fire fails unless exactly these alerts fire a quarter of an hour after a healthy node became
// what the scrape says. Counters that rose meanwhile rise by as much again each minute.
func (r alertRules) fire(now scrape, want ...string) {
	r.t.Helper()
	rules, err := filepath.Abs("../../docs/monitoring/alerts.yml")
	if err != nil {
		r.t.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "rule_files: ['%s']\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n", rules)
	for series, after := range now {
		before, ok := r.healthy[series]
		first := fmt.Sprintf("%fx10", r.relative(series, before))
		if !ok {
			first = "_x10"
		}
		step := 0.0
		if strings.Contains(series, "_total") {
			step = max(0, after-before)
		}
		fmt.Fprintf(&text, "  - series: '%s'\n    values: '%s %f+%fx30'\n", withInstance(series), first, r.relative(series, after), step)
	}
	text.WriteString("  promql_expr_test:\n  - expr: 'group by (alertname) (ALERTS{alertstate=\"firing\"})'\n    eval_time: 30m\n    exp_samples:\n")
	slices.Sort(want)
	for _, name := range want {
		fmt.Fprintf(&text, "    - labels: '{alertname=\"%s\"}'\n      value: 1\n", name)
	}
	file := filepath.Join(r.t.TempDir(), "alerts_test.yml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if out, err := exec.CommandContext(r.t.Context(), r.promtool, "test", "rules", file).CombinedOutput(); err != nil {
		r.t.Errorf("want %q: %v\n%s", want, err, out)
	}
}

// relative makes moments relative to now: promtool's clock begins at 0.
func (alertRules) relative(series string, v float64) float64 {
	if strings.HasPrefix(series, "unibus_certificate_not_") {
		return v - float64(time.Now().Unix())
	}
	return v
}

// withInstance adds the label that Prometheus adds.
func withInstance(series string) string {
	series = strings.ReplaceAll(series, "'", "''")
	if name, labels, ok := strings.Cut(series, "{"); ok {
		return name + `{instance="n1",` + labels
	}
	return series + `{instance="n1"}`
}
