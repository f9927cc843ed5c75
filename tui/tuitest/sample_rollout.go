package tuitest

import (
	"fmt"
	"time"

	"unibus/core"
	"unibus/core/admin"
)

// enforcedRollout is a finished rollout.
func enforcedRollout() admin.Rollout {
	r := admin.Rollout{
		Nodes: map[string]admin.RolloutNode{}, Declared: map[string]string{"bus-auth": "enforce", "bus-tls": "true", "decentralized": "true"},
		Safe: true, Verdict: admin.SafeToEnforce,
	}
	for _, n := range []string{"n1", "n2", "n3"} {
		r.Nodes[n] = admin.RolloutNode{Active: activeFlags(core.BusAuthEnforce, "true"), Since: ago(200 * time.Minute)}
	}
	return r
}

func activeFlags(mode core.BusAuth, kv string) map[string]string {
	return map[string]string{"bus-auth": string(mode), "bus-tls": "true", "decentralized": kv}
}

// SoftMode is Healthy with all nodes in soft mode and nobody to deny.
func SoftMode() ClusterState {
	state := Healthy()
	for i, n := range state.Status.Nodes {
		info := *n.Info
		info.BusAuth = core.BusAuthSoft
		state.Status.Nodes[i].Info = &info
		state.Rollout.Nodes[n.Name] = admin.RolloutNode{Active: activeFlags(core.BusAuthSoft, "true"), Since: ago(time.Duration(200+20*i) * time.Minute)}
	}
	return state
}

// UnsafeToEnforce is SoftMode with clients that enforce would deny, and a node
// with other settings.
func UnsafeToEnforce() ClusterState {
	state := SoftMode()
	n1 := admin.RolloutNode{Active: activeFlags(core.BusAuthSoft, "true"), Since: ago(30 * time.Hour), More: 40, Overflow: 3}
	for i := range 4 {
		n1.WouldDeny = append(n1.WouldDeny, admin.Denied{
			Key: string(sampleUserID(900 + i)), Addr: fmt.Sprintf("203.0.113.%d", 10+i), Reason: "this key is not a user of the bus",
			Count: 14 + 1000*i, First: ago(time.Duration(20+i) * time.Hour), Last: ago(time.Duration(3*i+1) * time.Minute),
		})
	}
	n1.WouldDeny = append(n1.WouldDeny, admin.Denied{Addr: "2001:db8::17", Reason: "no key was shown", Count: 2, First: ago(5 * time.Hour), Last: ago(4 * time.Hour)})
	n2 := admin.RolloutNode{Active: activeFlags(core.BusAuthSoft, "true"), Since: ago(30 * time.Hour), WouldDeny: n1.WouldDeny[:1]}
	state.Rollout.Nodes["n1"], state.Rollout.Nodes["n2"] = n1, n2
	state.Rollout.Nodes["n3"] = admin.RolloutNode{Active: activeFlags(core.BusAuthEnforce, "true"), Since: ago(2 * time.Minute)}
	state.Rollout.Safe, state.Rollout.Verdict = false, "not safe: 46 clients would be denied on n1, n2"
	return state
}
