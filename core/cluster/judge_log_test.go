package cluster

import (
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// TestLineIsOverWithItsCause: a repeated line is no finding once its cause has ended, by the
// routes and the groups. It is one again if the line comes all the same.
func TestLineIsOverWithItsCause(t *testing.T) {
	t.Parallel()
	const route = "10.0.0.3:6222 - rid:7 - TLS route handshake error: x509: certificate has expired"
	const quorum = "JetStream cluster stream 'CONTROL > KV_UNIBUS_users' has NO quorum, stalled"
	opened := func(r ...Route) func(*View) { return func(v *View) { v.Nodes[2].Info.Routes = r } }
	led := func(leader string, since core.Millis) func(*View) {
		return func(v *View) {
			v.Meta.Since = ago(time.Hour)
			for i := range v.Buckets {
				v.Buckets[i].Leader, v.Buckets[i].Since = "n2", ago(time.Hour)
			}
			v.Buckets[0].Leader, v.Buckets[0].Since = leader, since
		}
	}
	fine := Route{Addr: "n1.example.org:6222", Node: "n1", Since: ago(40 * time.Second)}
	for name, c := range map[string]struct {
		text  string
		last  core.Millis
		state func(*View)
		ahead int64
		want  bool
	}{
		"the route opened after it":         {route, ago(41 * time.Second), opened(fine), 0, false},
		"it comes with an open route":       {route, ago(5 * time.Second), opened(fine), 0, true},
		"no route was tried":                {route, ago(41 * time.Second), opened(), 0, true},
		"by a clock that is ahead":          {route, ago(20 * time.Second), opened(fine), 25_000, false},
		"an older node":                     {route, 0, opened(fine), 0, true},
		"a leader was elected after it":     {quorum, ago(20 * time.Second), led("n2", ago(19*time.Second)), 0, false},
		"it comes though there are leaders": {quorum, ago(5 * time.Second), led("n2", ago(19*time.Second)), 0, true},
		"there is no leader yet":            {quorum, ago(20 * time.Second), led("", ago(19*time.Second)), 0, true},
		"its cause cannot be asked":         {"the disk is slow", ago(41 * time.Second), opened(fine), 0, true},
	} {
		v := healthy(3, 3)
		c.state(&v)
		v.Nodes[0].ClockMS = c.ahead
		v.Nodes[0].Info.Repeated = []RepeatedLine{{Level: Degraded, Text: c.text, Count: 90, Since: ago(2 * time.Minute), Last: c.last}}
		found := false
		for _, f := range Judge(v, v.At.Time()).Findings {
			found = found || strings.Contains(f.Text, "again and again")
		}
		if found != c.want {
			t.Errorf("%s: a finding: %v", name, found)
		}
	}
}
