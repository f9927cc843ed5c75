package cluster

import (
	"fmt"
	"math"
	"slices"
	"time"

	"unibus/core"
)

// A rescue is for a cluster that has lost a majority of its nodes for good. The lost ones
// are fenced first: the nodes that are left refuse their names. Then these lower the meta
// group's quorum to their own number, and remove the fenced ones.

// RescueTime is how long nats-server keeps a lowered quorum (rescueQuorumTimeoutDefault in
// its raft.go).
const RescueTime = 5 * time.Minute

// Survivors are the nodes that answer and have a vote: a rescue counts on all of them. A new
// node that is not in the meta group yet has none.
func (v View) Survivors() []string {
	left := v.members()
	if len(v.Meta.Members) == 0 {
		return left
	}
	return slices.DeleteFunc(left, func(name string) bool { return !slices.Contains(v.Meta.Members, name) })
}

// Fenced are the members of the meta group whose names are refused already.
func (v View) Fenced() []string {
	var out []string
	for _, c := range v.Removed {
		if slices.Contains(v.Meta.OrphanPeers, c.Name) {
			out = append(out, c.Name)
		}
	}
	return out
}

// hasQuorum is true where the meta group works. During a rescue it does, with the lowered quorum.
func (v View) hasQuorum() bool { return v.Meta.Online >= v.Meta.Needed }

// FenceUnsafe says why a node cannot be fenced; nil if it can. A fence is final, so that
// nothing may be in the way of the rescue that it is for. KindRefused, and KindUnavailable
// for what time changes.
func FenceUnsafe(v View, name string) error {
	n, _ := v.node(name)
	switch {
	case name == v.From || n.Online:
		return core.Errorf(core.KindRefused, "%s cannot be fenced: it is running", name).WithNext("a fence is for a machine that is lost for good; see the nodes: unibusd node list")
	case v.hasQuorum():
		return core.Errorf(core.KindRefused, "%s cannot be fenced: a majority of the nodes answers, and can remove it", name).
			WithNext("unibusd node remove %s", core.ShellQuote(name))
	}
	if err := v.heardByOthers(name, "fenced"); err != nil {
		return err
	}
	if err := RescueHopeless(v); err != nil {
		return err
	}
	if silence := v.silence(n); silence < fenceAfter {
		return core.Errorf(core.KindUnavailable, "%s cannot be fenced yet: its silence was watched for %s, and its addresses are tried for %s", name, silence.Round(time.Second), fenceAfter).
			WithNext("try again in some seconds")
	}
	return v.listensStill(name)
}

// fenceAfter is how long a node must be silent. By then each node that is left has tried its
// addresses, every two seconds and for three, and knows which process listens there.
const fenceAfter = 10 * time.Second

// silence is how long every node that is left has watched a node be silent.
func (v View) silence(n Node) time.Duration {
	least := time.Duration(math.MaxInt64)
	if n.HeardMS >= 0 {
		least = time.Duration(n.HeardMS) * time.Millisecond
	}
	for _, left := range v.Survivors() {
		s, _ := v.node(left)
		least = min(least, Age(s.Started-core.Millis(s.ClockMS), v.At.Time()))
	}
	return least
}

// listensStill is nil unless a process listens at the address of a silent node. It may hang, or
// be cut off by a certificate: its machine is not lost. While it is not known whose an address
// is, the process may be any silent node's.
func (v View) listensStill(name string) error {
	listening := []core.RouteFault{core.FaultHung, core.FaultClosed, core.FaultForeign, core.FaultCertificate, core.FaultOwnCertificate}
	for _, left := range v.Survivors() {
		n, _ := v.node(left)
		if n.Info == nil {
			continue
		}
		for _, r := range n.Info.Routes {
			if r.Node == name && r.Fault == "" || (r.Node == name || r.Node == "") && slices.Contains(listening, r.Fault) {
				return core.Errorf(core.KindUnavailable, "%s cannot be given up: %s finds a process that listens at %s", name, left, r.Addr).
					WithNext("switch the machine of %s off, or stop every process there that listens at %s, and try again in some seconds", name, r.Addr)
			}
		}
	}
	return nil
}

// RescueUnsafe says why the quorum cannot be lowered to a number now; nil if it can. Fewer
// than all nodes that are left could elect two leaders. The errors are those of FenceUnsafe,
// and KindInvalid for another number than theirs.
func RescueUnsafe(v View, quorum int) error {
	left := v.Survivors()
	switch {
	case v.hasQuorum() && len(v.Fenced()) == 0:
		return core.Errorf(core.KindRefused, "there is nothing to rescue: %d of %d nodes answer, and %d are needed", v.Meta.Online, v.Meta.Size, v.Meta.Needed).
			WithNext("unibus-tui status")
	case v.Meta.NoRoute:
		return core.Errorf(core.KindRefused, "the quorum was not lowered: %s has heard no other server since its start, and does nothing in a group before it does", v.From).
			WithNext("let a new node connect to it first, as the guide says: unibusd guide rescue")
	case len(v.silent()) > 0:
		return core.Errorf(core.KindRefused, "the quorum was not lowered: %s %s not answer, and %s not fenced", join(v.silent()), plural(len(v.silent()), "does", "do"), plural(len(v.silent()), "is", "are")).
			WithNext("start the nodes whose disks are there; fence each that is lost for good: unibusd node fence NAME")
	case quorum == 0:
		return core.Errorf(core.KindInvalid, "the quorum was not lowered: its number was not given. %d of %d members are left (%s)", len(left), v.Meta.Size, join(left)).
			WithNext("give the number of nodes that are left, if no other node can come back: unibusd node rescue --quorum N")
	case quorum != len(left):
		return core.Errorf(core.KindInvalid, "the quorum was not lowered to %d: %d of %d members are left (%s), and all of them must agree", quorum, len(left), v.Meta.Size, join(left)).
			WithNext("count the nodes that are left: unibusd node list")
	}
	for _, c := range v.Fenced() {
		if err := v.fencedEverywhere(c); err != nil {
			return err
		}
		if err := v.listensStill(c); err != nil {
			return err
		}
	}
	return RescueHopeless(v)
}

// fencedEverywhere is nil where each node that is left has written down that it refuses a name.
func (v View) fencedEverywhere(name string) error {
	for _, left := range v.Survivors() {
		n, _ := v.node(left)
		refuses := n.Info != nil && n.Info.MembershipUnsaved == "" && slices.ContainsFunc(n.Info.Membership, func(c core.NodeChange) bool {
			return c.Name == name && c.State == core.NodeRemoved
		})
		if !refuses {
			return core.Errorf(core.KindUnavailable, "the quorum was not lowered yet: %s has not written down that %s is fenced", left, name).
				WithNext("try again in some seconds, or: unibusd node fence %s", core.ShellQuote(name))
		}
	}
	return nil
}

// RescueHopeless says why the nodes that answer cannot go on without the others; nil if they
// can: the control plane and every stream must be with them. The meta group would create a
// stream whose replicas are all lost anew: empty, and without a warning.
func RescueHopeless(v View) error {
	refuse := func(format string, args ...any) *core.Error {
		return core.Errorf(core.KindRefused, "the nodes that answer cannot go on without the others: %s", fmt.Sprintf(format, args...)).
			WithNext("restore a backup: docs/operations/restore.md, \"When a majority was lost for good, or every node\"")
	}
	if v.Moving != "" {
		return refuse("a migration is running (%s)", v.Moving)
	}
	if len(v.Meta.Leaders) > 1 {
		return refuse("%s each claim to lead the meta group", join(v.Meta.Leaders))
	}
	held, err := v.streamsOnDisk()
	if err != nil {
		return err
	}
	if err := v.storeIsLeft(refuse); err != nil {
		return err
	}
	var gone []string
	for _, name := range v.Streams {
		if !held[name] && recordOf(name) == "" { // the nodes have both in memory
			gone = append(gone, name)
		}
	}
	if len(gone) > 0 {
		return refuse("none of them has a replica of %s", join(shorts(gone)))
	}
	return nil
}

// streamsOnDisk are the streams of which a node that is left has a directory. Its server may
// not list them: after a restart it reads them once there is a meta leader.
func (v View) streamsOnDisk() (map[string]bool, error) {
	held := map[string]bool{}
	for _, left := range v.Survivors() {
		n, _ := v.node(left)
		if n.Info == nil || n.Info.Streams == nil {
			return nil, core.Errorf(core.KindUnavailable, "%s did not say which streams are on its disk", left).WithNext("try again in some seconds; all nodes must run this release")
		}
		for _, s := range n.Info.Streams {
			held[s] = true
		}
	}
	return held, nil
}

// storeIsLeft is nil where the store in force is with the nodes that answer, as far as their
// journals say.
func (v View) storeIsLeft(refuse func(string, ...any) *core.Error) error {
	file := v.onSQLite()
	switch n, _ := v.node(file); {
	case file != "" && !n.Online:
		return refuse("the control plane is the SQLite file of %s", file)
	case file != "":
		return nil
	case v.noRecord() && slices.ContainsFunc(v.Nodes, func(n Node) bool { return n.Info != nil && n.Info.Store != core.BackendKV }):
		return refuse("nothing says whether the control plane is in KV, or a SQLite file on a lost node")
	}
	for _, t := range core.Tables() {
		if !slices.Contains(v.Streams, t.Bucket()) {
			return refuse("%s has never seen the bucket %s", v.From, short(t.Bucket()))
		}
	}
	return nil
}

// RescuePending says what is left to do of a rescue; "" if nothing is.
func RescuePending(v View) string {
	fenced := v.Fenced()
	switch {
	case v.Meta.Leader == "":
		return "the meta group has no leader"
	case len(fenced) > 0:
		return fmt.Sprintf("the meta group still counts %s", join(fenced))
	}
	all := v.AllBuckets()
	for _, name := range v.Streams {
		i := slices.IndexFunc(all, func(b Bucket) bool { return b.Name == name })
		if i < 0 || all[i].Leader == "" {
			return short(name) + " has no leader"
		}
		for _, r := range all[i].Replicas {
			if _, known := v.node(r.Node); !known {
				return fmt.Sprintf("%s still counts a replica on %s", short(name), r.Node)
			}
		}
	}
	return ""
}
