package cluster

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// look is what an observer of three nodes makes of the servers that answer for a while.
func look(t *testing.T, nodes []string, servers ...string) (before, after View) {
	t.Helper()
	f, clock := &fake{}, noon
	o := fakeLook(f, func(cfg *Config) {
		cfg.now = func() time.Time { return clock }
		cfg.Nodes = nodes
		cfg.Infos = func(context.Context) ([]Info, error) {
			return []Info{{Name: "n1", Version: "1"}, {Name: "n2", Version: "1"}, {Name: "n3", Version: "1"}}[:min(3, cfg.Expected)], nil
		}
	})
	var stats, streams []any
	for _, name := range servers {
		stats, streams = append(stats, statsOf(name)), append(streams, streamsOf(name, "n1"))
	}
	f.set(subjectStats, stats...)
	f.set(subjectStreams, streams...)
	o.observe(t.Context())
	before = o.View()
	for range 4 {
		clock = clock.Add(2 * time.Second)
		o.observe(t.Context())
	}
	return before, o.View()
}

func unknownNames(v View) []string {
	var out []string
	for _, u := range v.Unknown {
		out = append(out, u.Name)
	}
	return out
}

// TestUnknownServer: a server that answers first, and says of itself what only
// nats-server knows, is named, counts for nothing and gets no advice about its disk.
func TestUnknownServer(t *testing.T) {
	t.Parallel()
	for name, nodes := range map[string][]string{"by the number of nodes": nil, "by the list of nodes": {"n1", "n2", "n3"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, v := look(t, nodes, "ghostnode", "n1", "n2", "n3")
			if got := unknownNames(v); !slices.Equal(got, []string{"ghostnode"}) {
				t.Fatalf("unknown: %v", got)
			}
			if nodes != nil && len(before.Unknown) != 1 {
				t.Errorf("at the first look: %v", before.Unknown)
			}
			if got := v.online(); !slices.Equal(got, []string{"n1", "n2", "n3"}) || v.Meta.Online != 3 || len(v.Nodes) != 3 {
				t.Errorf("online %v, meta %+v", got, v.Meta)
			}
			j := Judge(v, noon)
			if j.Verdict != Critical || !strings.HasPrefix(j.Sentence, "ghostnode is connected as a node") || !strings.Contains(j.Do, "cert revoke") {
				t.Errorf("%+v", j)
			}
			for _, f := range j.Findings[1:] {
				if strings.Contains(f.About, "ghostnode") {
					t.Errorf("further advice: %+v", f)
				}
			}
			events := Diff(before, v)
			if nodes == nil {
				checkEvents(t, events, "ghostnode is connected as a node and is not one of this cluster")
			}
		})
	}
}

// TestUnknownServerInPlaceOfANode: with the list of nodes, one of which is away,
// the server is named, and the node is still missed.
func TestUnknownServerInPlaceOfANode(t *testing.T) {
	t.Parallel()
	_, v := look(t, []string{"n1", "n2", "n3"}, "ghostnode", "n1", "n2")
	if got := unknownNames(v); !slices.Equal(got, []string{"ghostnode"}) || !slices.Equal(v.silent(), []string{"n3"}) || v.Meta.Online != 2 {
		t.Errorf("unknown %v, silent %v, meta %+v", got, v.silent(), v.Meta)
	}
}

// TestUnknownServerWithAnImpossibleName: a bare nats-server's name is its id.
func TestUnknownServerWithAnImpossibleName(t *testing.T) {
	t.Parallel()
	id := "NA" + strings.Repeat("X", 54)
	_, v := look(t, nil, "n1", "n2", id, "a\x1b[31m name")
	if got := unknownNames(v); !slices.Equal(got, []string{id, "a??31m?name"}) {
		t.Errorf("unknown: %q", got)
	}
	if j := Judge(v, noon); j.Verdict != Critical || !strings.Contains(j.Sentence, id) {
		t.Errorf("%+v", j)
	}
}

// TestNodesAreNotUnknown: neither a node that is starting, nor the one that replaced another.
func TestNodesAreNotUnknown(t *testing.T) {
	t.Parallel()
	before, v := look(t, nil, "n1", "n2", "n3")
	if len(before.Unknown)+len(v.Unknown) > 0 {
		t.Errorf("%v, then %v", before.Unknown, v.Unknown)
	}
	before, _ = look(t, nil, "n1", "n2", "n3", "n4")
	if len(before.Unknown) > 0 {
		t.Errorf("a node that has just started is unknown: %v", before.Unknown)
	}
}
