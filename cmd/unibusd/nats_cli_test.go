package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// TestNatsCLIAgrees: the nats CLI and status say the same of a cluster, with every node up and
// with one down. NATS_CLI names the program: `make foreign` runs this test.
func TestNatsCLIAgrees(t *testing.T) {
	t.Parallel()
	tool := os.Getenv("NATS_CLI")
	if tool == "" {
		t.Skip("NATS_CLI is not set: `make foreign` runs this test")
	}
	systemSeed, system := nodetest.SeedFile(t, "system")
	auditorSeed, auditor := nodetest.SeedFile(t, "auditor")
	p := nodetest.StartProcesses(t, program(t, "unibusd"), nodetest.Config{Store: core.BackendKV, Operators: []core.Operator{
		{Key: system.Public(), Role: core.OperatorSystem, Name: "system"}, {Key: auditor.Public(), Role: core.OperatorAuditor, Name: "auditor"},
	}})
	cl := p.Client(0, 1)
	awaitStatusOf(t, cl, func(st admin.Status) bool { return st.Verdict == cluster.Healthy && len(st.Nodes) == 3 })
	for range 7 {
		if _, err := cl.UserAdd(t.Context(), core.User{ID: core.UserID(nodetest.Identity(t).Public()), Role: core.RoleMember}); err != nil {
			t.Fatal(err)
		}
	}
	cli := natsTool{t, tool, p.URLs(0)[0], systemSeed, auditorSeed}
	agree(t, cl, cli)

	p.Kill(2)
	awaitStatusOf(t, cl, func(st admin.Status) bool {
		return st.Verdict == cluster.Degraded && st.Meta.Online == 2 && !slices.ContainsFunc(st.AllBuckets(), func(b cluster.Bucket) bool { return b.Leader == "" })
	})
	agree(t, cl, cli)
}

// agree waits until both say the same: neither is asked at the same moment as the other.
func agree(t *testing.T, cl *admin.Client, cli natsTool) {
	t.Helper()
	nodetest.Wait(t, 30*time.Second, func() error {
		st, err := nodetest.Status(t.Context(), cl)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(cli.figures(slices.Sorted(maps.Keys(figuresOf(st).Streams))), figuresOf(st)); diff != "" {
			return fmt.Errorf("the nats CLI (-) and status (+) differ:\n%s", diff)
		}
		return nil
	})
}

// figures are what the nats CLI and status both show.
type figures struct {
	MetaLeader string
	MetaSize   int
	Nodes      map[string]nodeFigures // those that answer
	Streams    map[string]streamFigures
}

type nodeFigures struct {
	ID            string
	Disk, DiskMax int64
}

type streamFigures struct {
	Replicas, Messages int
	Bytes              int64
	LastSeq            uint64
	Leader             string
	Current            map[string]bool // by node, the leader left out
}

func figuresOf(st admin.Status) figures {
	f := figures{MetaLeader: st.Meta.Leader, MetaSize: st.Meta.Size, Nodes: map[string]nodeFigures{}, Streams: map[string]streamFigures{}}
	for _, n := range st.Nodes {
		if n.Online {
			f.Nodes[n.Name] = nodeFigures{n.ID, n.Disk, n.DiskMax}
		}
	}
	for _, b := range st.AllBuckets() {
		s := streamFigures{Replicas: b.Wanted, Messages: b.Keys, Bytes: b.Bytes, LastSeq: b.LastSeq, Leader: b.Leader, Current: map[string]bool{}}
		for _, r := range b.Replicas {
			if r.Node != b.Leader {
				s.Current[r.Node] = r.State == cluster.ReplicaCurrent
			}
		}
		f.Streams[streamName(b.Name)] = s
	}
	return f
}

// streamName is nats-server's name of a bucket's stream; the audit and the events are streams and no buckets.
func streamName(bucket string) string {
	if bucket == "UNIBUS_audit" || bucket == "UNIBUS_events" {
		return bucket
	}
	return "KV_" + bucket
}

// natsTool is the nats CLI, with the seeds of an operator for servers and of one for streams.
type natsTool struct {
	t                             *testing.T
	program, url, system, auditor string
}

// run decodes what a command prints into out.
func (n natsTool) run(out any, seed string, args ...string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	args = slices.Concat([]string{"--server", n.url, "--nkey", seed}, args, []string{"--json"})
	text, err := exec.CommandContext(ctx, n.program, args...).Output()
	if err == nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		n.t.Fatalf("nats %q: %v\n%s", args, err, text)
	}
}

func (n natsTool) figures(streams []string) figures {
	n.t.Helper()
	var servers []struct {
		Server struct{ Name, ID string }
		Statsz struct {
			Jetstream struct {
				Config struct {
					MaxStorage int64 `json:"max_storage"`
				}
				Stats struct{ Storage int64 }
				Meta  struct {
					Leader string
					Size   int `json:"cluster_size"`
				}
			}
		}
	}
	n.run(&servers, n.system, "server", "list")
	f := figures{Nodes: map[string]nodeFigures{}, Streams: map[string]streamFigures{}}
	for _, s := range servers {
		js := s.Statsz.Jetstream
		f.Nodes[s.Server.Name] = nodeFigures{s.Server.ID, js.Stats.Storage, js.Config.MaxStorage}
		f.MetaLeader, f.MetaSize = js.Meta.Leader, js.Meta.Size
	}
	for _, name := range streams {
		f.Streams[name] = n.stream(name)
	}
	return f
}

func (n natsTool) stream(name string) streamFigures {
	n.t.Helper()
	var info struct {
		Config struct {
			Replicas int `json:"num_replicas"`
		}
		State struct {
			Messages int
			Bytes    int64
			LastSeq  uint64 `json:"last_seq"`
		}
		Cluster struct {
			Leader   string
			Replicas []struct {
				Name             string
				Current, Offline bool
			}
		}
	}
	n.run(&info, n.auditor, "--js-api-prefix", "CTL.API", "stream", "info", name)
	s := streamFigures{
		Replicas: info.Config.Replicas, Messages: info.State.Messages, Bytes: info.State.Bytes, LastSeq: info.State.LastSeq,
		Leader: info.Cluster.Leader, Current: map[string]bool{},
	}
	for _, r := range info.Cluster.Replicas {
		s.Current[r.Name] = r.Current && !r.Offline
	}
	return s
}
