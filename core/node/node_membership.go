package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

// nodeMembership adds and removes nodes for the operators' service.
type nodeMembership struct{ n *Node }

// size is how many nodes the cluster has: those configured, as commands changed them since.
func (n *Node) size() int {
	if n.observer == nil { // nothing was observed yet
		return n.cfg.Size()
	}
	return n.observer.View().Expected
}

// fixedSize is how many nodes the cluster can have until this one is restarted; 0 where
// commands can change it.
func (n *Node) fixedSize() int {
	if len(n.cfg.Nodes) > 0 {
		return 0
	}
	return n.cfg.Size()
}

// Add implements the membership of core/admin: it accepts a node of a new name.
func (m nodeMembership) Add(ctx context.Context, by core.Operator, name string) (admin.NodeChanged, error) {
	m.n.changingNodes.Lock()
	defer m.n.changingNodes.Unlock()
	none := admin.NodeChanged{}
	if err := m.checkName(name); err != nil {
		return none, err
	}
	change, known := m.n.membership.of(name)
	if known && change.State == core.NodeRemoved {
		return none, core.Errorf(core.KindRefused, "%s was removed by %s on %s, and that is for good: replicas may still know the name", name, change.By, change.At.Time().Format(time.DateOnly)).
			WithNext("give the machine another name, and add that: unibusd node add NAME")
	}
	if !known {
		if err := m.claimAddition(ctx, name); err != nil {
			return none, err
		}
		change = core.NodeChange{Name: name, State: core.NodeAdded, By: by.Name, At: core.MillisOf(time.Now())}
	}
	return m.replicate(ctx, change)
}

// claimAddition refuses a name that is taken, before and after it has excluded changes at
// other nodes.
func (m nodeMembership) claimAddition(ctx context.Context, name string) error {
	if err := checkNew(m.n.observer.Fresh(ctx), name); err != nil {
		return err
	}
	if err := m.n.membership.checkSpaceToAdd(name, m.n.cfg.Nodes); err != nil {
		return err
	}
	if err := m.claim(ctx); err != nil {
		return err
	}
	view, err := m.n.observer.Next(ctx)
	if err != nil {
		return err
	}
	return checkNew(view, name)
}

// checkNew refuses the name of a node that is there, or one that differs from it in case alone.
func checkNew(v cluster.View, name string) error {
	if cluster.IsKnown(v, name) {
		return core.Errorf(core.KindExists, "%s is a node of this cluster already", name).WithNext("unibusd node list")
	}
	for _, n := range v.Nodes {
		if strings.EqualFold(n.Name, name) {
			return core.Errorf(core.KindRefused, "%s differs from the node %s in case alone", name, n.Name).WithNext("give the machine a name that cannot be confused")
		}
	}
	return nil
}

func (m nodeMembership) checkName(name string) error {
	if _, err := core.ParseNodeName(name); err != nil {
		return err
	}
	if !m.n.cfg.Clustered() {
		return core.Errorf(core.KindRefused, "%s runs alone, without a cluster", m.n.cfg.Name).WithNext("give every node its --routes first")
	}
	if len(m.n.cfg.Nodes) == 0 {
		return core.Errorf(core.KindRefused, "the configuration of %s does not list the nodes, so that it would not know how many there are", m.n.cfg.Name).
			WithNext("set nodes = [\"n1\", …] on every node, and restart them one after the other")
	}
	return nil
}

// replicate writes a change down here, and has every node do the same.
func (m nodeMembership) replicate(ctx context.Context, change core.NodeChange) (admin.NodeChanged, error) {
	if err := m.n.membership.put(change); err != nil {
		return admin.NodeChanged{}, err
	}
	out := admin.NodeChanged{NodeChange: change, Meta: m.n.observer.View().Meta}
	out.Told, out.NotTold = toldNodes(tellNodes(ctx, m.n, subjectMembership, m.n.membership.all()), change.Name)
	return out, nil
}

// toldNodes are the nodes that have written a decision down, and those that have not. A
// node that was never seen has no name; except is left out.
func toldNodes(replies map[string]membershipReply, except string) (told, notTold []string) {
	told = []string{}
	for _, node := range slices.Sorted(maps.Keys(replies)) {
		_, err := core.ParseNodeName(node)
		switch {
		case err != nil || node == except:
		case replies[node].Fault == "":
			told = append(told, node)
		default:
			notTold = append(notTold, node)
		}
	}
	return told, notTold
}

// claim lets one change through for each state of the list, so that two admins do not
// remove two nodes at the same time at two nodes.
func (m nodeMembership) claim(ctx context.Context) error {
	var state []string
	for _, c := range m.n.membership.all() {
		state = append(state, c.Name+" "+string(c.State))
	}
	for _, d := range m.n.maintenance.all() {
		state = append(state, fmt.Sprintf("%s %d", d.Node, d.At))
	}
	sum := sha256.Sum256([]byte(strings.Join(state, ",")))
	err := m.n.nonces.bucket.Create(ctx, "nodes."+hex.EncodeToString(sum[:16]))
	if core.KindOf(err) == core.KindExists {
		return core.Errorf(core.KindConflict, "another node is being added, removed or drained, or was about to be within the last three minutes; nothing was done").
			WithNext("look at `unibusd node list`, and try again after three minutes")
	}
	return err
}

// membershipReply is a node's answer to changes: a fault if they are not on its disk.
type membershipReply struct {
	Node  string `json:"node"`
	Fault string `json:"fault,omitempty"`
}

// tellNodes has every node write records down. One that is not reached learns them
// later, from what this node says of itself.
func tellNodes[T any](ctx context.Context, n *Node, subject string, all []T) map[string]membershipReply {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	told, err := askEveryNode(ctx, n, subject, all, n.size(), membershipReply{Fault: "it did not answer"},
		func(r membershipReply) (string, membershipReply) { return r.Node, r })
	if err != nil {
		n.log.Warn("the other nodes could not be told what was decided about a node; they learn it later", "error", err)
	}
	return told
}

// answerRecords writes down what another node says by tellNodes. A body that is no list gets no answer.
func answerRecords[T any](n *Node, body []byte, add func([]T), fault func() string) any {
	var all []T
	if err := json.Unmarshal(body, &all); err != nil {
		return nil
	}
	add(all)
	return membershipReply{Node: n.cfg.Name, Fault: fault()}
}

// learnRecords adds what other nodes say of themselves, for a node that was down or cut off.
func learnRecords[T any](n *Node, infos []cluster.Info, of func(cluster.Info) []T, add func([]T)) {
	for _, i := range infos {
		if all := of(i); i.Name != n.cfg.Name && len(all) > 0 {
			add(all)
		}
	}
}

func (n *Node) addMembership(changes []core.NodeChange) {
	fresh, err := n.membership.add(changes)
	for _, c := range fresh {
		n.log.Info("a node was "+string(c.State)+" by command", "name", c.Name, "by", c.By)
		if c.Name == n.cfg.Name && c.State == core.NodeRemoved {
			n.fail(n.removedFault(c))
		}
	}
	if err != nil && len(fresh) > 0 {
		n.log.Error("the list of added and removed nodes is not on disk", "error", err)
	}
}

// openMembership reads which nodes were added and removed, before a route opens. A node
// that was removed does not start.
func (n *Node) openMembership() error {
	if err := n.membership.load(); err != nil {
		return err
	}
	if c, ok := n.membership.of(n.cfg.Name); ok && c.State == core.NodeRemoved {
		return n.removedFault(c)
	}
	return nil
}

func (n *Node) removedFault(c core.NodeChange) error {
	return core.Errorf(core.KindRefused, "%s was removed from the cluster by %s on %s; the other nodes refuse it", c.Name, c.By, c.At.Time().Format(time.DateTime+" UTC")).
		WithNext("keep its data directory aside; give this machine another name and another --data directory, and add it on a running node: unibusd node add NAME")
}
