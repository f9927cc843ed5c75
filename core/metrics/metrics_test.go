package metrics

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"unibus/core"
	"unibus/core/cluster"
)

// everything is a sample with every metric in it.
func everything() Sample {
	sessions := 7
	return Sample{
		OpenIncidents: 2,
		View: cluster.View{
			Cluster: "demo", Clustered: true, Expected: 3, Moving: "copy",
			Meta:        cluster.Meta{Leader: "n1", Leaders: []string{"n1"}, Size: 3, Online: 2, Needed: 2},
			Nodes:       []cluster.Node{{Name: "n1", Online: true}, {Name: "n2"}},
			Maintenance: []core.Maintenance{{Node: "n2"}},
			Buckets: []cluster.Bucket{{
				Name: "UNIBUS_users", Wanted: 3, Leader: "n1", Keys: 12, Bytes: 3400, LastSeq: 99,
				Replicas: []cluster.Replica{{Node: "n1", State: cluster.ReplicaCurrent}, {Node: "n2", State: cluster.ReplicaOffline, Lag: 5}},
			}},
			Backups: &core.BackupRecord{Begun: 1, EveryMS: 86_400_000, Kept: []core.ScheduledBackup{{At: core.MillisOf(time.Now().Add(time.Hour))}}, Failure: &core.BackupFailure{Count: 2}},
			Counts:  &core.Counts{Users: 10, Rooms: 4, Members: 21}, CountsAt: 1_700_000_000_000,
		},
		Judgment: cluster.Judgment{Verdict: cluster.Degraded, Findings: []cluster.Finding{
			{Level: cluster.Degraded, About: "node.n2", Text: "a text with a number: 17"}, {Level: cluster.Degraded, About: "node.n2", Text: "another"},
		}},
		Self: cluster.Info{
			Name: "n1", Version: "v1", Started: 1_600_000_000_000, ProvenMS: 1500, Sessions: &sessions, Serving: cluster.Serving{Backend: core.BackendKV},
			DiskComparison: &cluster.DiskComparison{
				Certificates: []cluster.Certificate{{Use: "bus", File: "/etc/unibus/n1.crt", From: 1_000, Until: 2_000}},
				Disks:        []cluster.Disk{{Path: "/var/lib/unibus", Free: 50, Total: 100}},
			},
		},
		Admitted: map[string]uint64{"user": 3}, Denied: map[string]uint64{"expired": 2},
		Traffic: Traffic{ReceivedMessages: 1, SentMessages: 2, ReceivedBytes: 3, SentBytes: 4, SlowConsumers: 5},
	}
}

func open(t *testing.T, s Sample, ready error) string {
	t.Helper()
	srv := New(Config{
		Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
		Sample: func(context.Context) Sample { return s }, Ready: func(context.Context) error { return ready },
	})
	if err := srv.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 {
			if err := srv.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
	return srv.Addr()
}

func get(t *testing.T, addr, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// own are the lines of a scrape that are not about the process.
func own(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "unibus_") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// TestEveryMetric: the names, types and texts of metrics are what dashboards and alerts of others rest on.
func TestEveryMetric(t *testing.T) {
	t.Parallel()
	status, text := get(t, open(t, everything(), nil), "/metrics")
	if status != http.StatusOK || !strings.Contains(text, "go_goroutines") || !strings.Contains(text, "process_cpu_seconds_total") {
		t.Fatalf("%d: %s", status, text)
	}
	want, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := own(text); got != string(want) {
		t.Errorf("testdata/metrics.txt has another text than\n%s", got)
	}
	problems, err := promlint.New(bytes.NewReader([]byte(own(text)))).Lint()
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestDashboardAndAlertsNameWhatThereIs: a query for a metric that nobody has is silent for ever.
func TestDashboardAndAlertsNameWhatThereIs(t *testing.T) {
	t.Parallel()
	_, text := get(t, open(t, everything(), nil), "/metrics")
	for _, file := range []string{"alerts.yml", "dashboard.json"} {
		data, err := os.ReadFile("../../docs/monitoring/" + file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\b(?:unibus|process)_[a-z_]+`).FindAllString(string(data), -1)
		if len(names) < 10 {
			t.Errorf("%s names %d metrics", file, len(names))
		}
		for _, name := range names {
			if !strings.Contains(text, "\n# TYPE "+name+" ") {
				t.Errorf("%s names %s, which no node has", file, name)
			}
		}
	}
	data, err := os.ReadFile("../../docs/monitoring/dashboard.json")
	if err != nil || !json.Valid(data) {
		t.Errorf("dashboard.json is no JSON: %v", err)
	}
}

// TestNamesFromOutside: servers name themselves, and a name may come twice, or be no text.
func TestNamesFromOutside(t *testing.T) {
	t.Parallel()
	s := everything()
	s.View.Nodes = []cluster.Node{{Name: "n1", Online: true}, {Name: "n1"}, {Name: "a\xffb\n\"c"}}
	status, text := get(t, open(t, s, nil), "/metrics")
	if status != http.StatusOK || strings.Count(text, `unibus_node_up{node="n1"}`) != 1 || !strings.Contains(text, `unibus_node_up{node="a`+"\uFFFD"+`b\n\"c"} 0`) {
		t.Errorf("%d: %s", status, own(text))
	}
}

// TestHealth: the process answers in every state, and says by itself why it is not ready.
func TestHealth(t *testing.T) {
	t.Parallel()
	addr := open(t, Sample{}, core.Errorf(core.KindUnavailable, "a majority is missing"))
	if status, text := get(t, addr, "/healthz"); status != http.StatusOK || text != "ok\n" {
		t.Errorf("/healthz: %d %s", status, text)
	}
	if status, text := get(t, addr, "/readyz"); status != http.StatusServiceUnavailable || text != "not ready: a majority is missing\n" {
		t.Errorf("/readyz: %d %s", status, text)
	}
	if status, text := get(t, open(t, Sample{}, nil), "/readyz"); status != http.StatusOK || text != "ready\n" {
		t.Errorf("/readyz of a ready node: %d %s", status, text)
	}
	if status, _ := get(t, addr, "/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("/debug/pprof/: %d", status)
	}
	if status, text := get(t, addr, "/metrics"); status != http.StatusOK {
		t.Errorf("/metrics of a node that knows nothing: %d %s", status, text)
	}
}

// TestAddressInUse: the error names the flag and the address.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	addr := open(t, Sample{}, nil)
	srv := New(Config{Listen: addr, Log: slog.New(slog.DiscardHandler)})
	err := srv.Open(t.Context())
	if core.KindOf(err) != core.KindFailed || !strings.Contains(err.Error(), "--metrics-listen "+addr) {
		t.Errorf("%v", err)
	}
	if err := srv.Close(); err != nil {
		t.Errorf("Close without Open: %v", err)
	}
}

// TestScrapesAreBounded: scrapes that take long do not pile up.
func TestScrapesAreBounded(t *testing.T) {
	t.Parallel()
	taken, end := make(chan bool, maxScrapes), make(chan bool)
	srv := New(Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Sample: func(context.Context) Sample {
		select {
		case taken <- true:
			<-end
		default: // one too many, which is answered by mistake
		}
		return Sample{}
	}})
	if err := srv.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = srv.Close() }()
	answers := make(chan int, maxScrapes)
	for range maxScrapes {
		go func() {
			status, _ := get(t, srv.Addr(), "/metrics")
			answers <- status
		}()
	}
	deadline := time.Now().Add(10 * time.Second)
	for len(taken) < maxScrapes && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if status, _ := get(t, srv.Addr(), "/metrics"); status != http.StatusServiceUnavailable {
		t.Errorf("a scrape too many: %d", status)
	}
	close(end)
	for range maxScrapes {
		if status := <-answers; status != http.StatusOK {
			t.Errorf("one of %d: %d", maxScrapes, status)
		}
	}
}

// TestConnectionsAreBounded: a client that opens connections and sends nothing takes none of the
// bus's.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	addr := open(t, Sample{}, nil)
	var held []net.Conn
	for range maxConnections {
		c, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		held = append(held, c)
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("connection %d: %q %v", len(held), line, err)
		}
	}
	more, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = more.Close() }()
	if err := more.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := more.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a connection too many got %d bytes, %v", n, err)
	}
	_ = held[0].Close()
	for deadline := time.Now().Add(10 * time.Second); ; {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + addr + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("a closed connection makes no room: %v", err)
		}
	}
}
