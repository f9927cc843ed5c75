package node_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/nodetest"
)

// BenchmarkObservation measures a whole observation of three nodes against its bare
// ceiling: nats-server's own two questions to every server, over the same connection, one
// after the other. Both take turns.
func BenchmarkObservation(b *testing.B) {
	c := nodetest.Start(b, nodetest.Config{Store: core.BackendKV})
	c.WaitServing(core.BackendKV, 0, 1, 2)
	bare := cluster.Conn{NATS: c.Nodes[0].SystemConn()}
	var observed, asked []time.Duration
	for b.Loop() {
		begun := time.Now()
		v, err := c.Nodes[0].Observe(b.Context())
		if err != nil || slices.ContainsFunc(v.Nodes, func(n cluster.Node) bool { return !n.Online }) || len(v.Nodes) != 3 {
			b.Fatalf("%+v, %v", v.Nodes, err)
		}
		observed = append(observed, time.Since(begun))
		begun = time.Now()
		for subject, question := range map[string]string{"$SYS.REQ.SERVER.PING.STATSZ": "", "$SYS.REQ.SERVER.PING.JSZ": `{"account":"CONTROL","streams":true,"config":true}`} {
			askAll(b, bare, subject, question)
		}
		asked = append(asked, time.Since(begun))
	}
	slices.Sort(observed)
	slices.Sort(asked)
	middle := len(observed) / 2
	b.ReportMetric(float64(observed[middle].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(observed[len(observed)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(observed[middle])/float64(asked[middle]), "of-bare")
}

// askAll asks a question and waits for three answers.
func askAll(b *testing.B, conn cluster.Conn, subject, question string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
	defer cancel()
	answers := 0
	err := conn.RequestMany(ctx, subject, []byte(question), func([]byte) bool {
		answers++
		return answers < 3
	})
	if err != nil || answers < 3 {
		b.Fatalf("%s: %d answers, %v", subject, answers, err)
	}
}
