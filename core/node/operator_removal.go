package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
)

// operatorRemover removes operators for the operators' service.
type operatorRemover struct{ n *Node }

// removalRequest tells a node which operators were removed. The answer is about Key.
type removalRequest struct {
	Key     string                 `json:"key"`
	Removed []core.RemovedOperator `json:"removed"`
}

// Remove implements the operatorRemover of core/admin. The key counts as removed here before any
// other node is told; a second call for the same key tells the nodes again.
func (o operatorRemover) Remove(ctx context.Context, by core.Operator, key core.UserID) (admin.OperatorRemoved, error) {
	o.n.removing.Lock()
	defer o.n.removing.Unlock()
	removed, known := o.known(string(key))
	if !known {
		var err error
		if removed, err = o.newRemoval(ctx, by, string(key)); err != nil {
			return admin.OperatorRemoved{}, err
		}
	}
	here := o.n.addRemovedOperators([]core.RemovedOperator{removed}, string(key), "by "+by.Name)
	nodes := o.tellNodes(ctx, removed)
	nodes[o.n.cfg.Name] = here
	return admin.OperatorRemoved{RemovedOperator: removed, Nodes: nodes}, nil
}

func (o operatorRemover) known(key string) (core.RemovedOperator, bool) {
	o.n.reloading.Lock()
	defer o.n.reloading.Unlock()
	return o.n.removed.of(key)
}

// newRemoval refuses a removal that would leave a node without an admin, and a caller that was
// removed meanwhile. It looks again once it has excluded removals at other nodes.
func (o operatorRemover) newRemoval(ctx context.Context, by core.Operator, key string) (core.RemovedOperator, error) {
	none := core.RemovedOperator{}
	if _, err := o.check(o.n.observer.Fresh(ctx), by, key); err != nil {
		return none, err
	}
	if err := o.claimRemoval(ctx); err != nil {
		return none, err
	}
	view, err := o.n.observer.Next(ctx)
	if err != nil { // it must be possible to shut an operator out
		view = o.n.observer.View()
	}
	op, err := o.check(view, by, key)
	if err != nil {
		return none, err
	}
	return core.RemovedOperator{Operator: op, By: by.Name, At: core.MillisOf(time.Now())}, nil
}

func (o operatorRemover) check(view cluster.View, by core.Operator, key string) (core.Operator, error) {
	if now, ok := o.n.operator(by.Key); !ok || now.Role != core.OperatorAdmin {
		return core.Operator{}, core.Errorf(core.KindRefused, "%s is no longer an admin", by.Name)
	}
	removed := o.n.removedKeys()
	op, err := removable(view, o.n.cfg.Name, *o.n.operators.Load(), removed, key)
	if err == nil && len(removed) >= maxRemovedOperators {
		err = core.Errorf(core.KindRefused, "%d operators were removed by command, and a node keeps no more than that", maxRemovedOperators).
			WithNext("remove these keys from every configuration file; then stop all nodes and move %s out of every data directory", removedOperatorsFile)
	}
	return op, err
}

// removable finds the operator on the nodes that answer, and checks that each of them
// keeps an admin. here and removed are what the deciding node knows itself: its view may lag behind.
func removable(view cluster.View, name string, here map[string]core.Operator, removed []string, key string) (core.Operator, error) {
	found, silent := here[key], false
	lists := map[string][]core.Operator{name: operatorList(here)}
	for _, node := range view.Nodes {
		if !node.Online || node.Info == nil || node.Info.Operators == nil {
			silent = true
		} else if node.Name != name {
			lists[node.Name] = node.Info.Operators.List
		}
	}
	for node, list := range lists {
		admins := 0
		for _, op := range list {
			if op.Key == key && found.Key == "" {
				found = op
			}
			if op.Key != key && op.Role == core.OperatorAdmin && !slices.Contains(removed, op.Key) {
				admins++
			}
		}
		if admins == 0 {
			return found, core.Errorf(core.KindRefused, "%s would have no admin left", node).
				WithNext("name another admin in the configuration of %s first; it is read again without a restart", node)
		}
	}
	if found.Key != "" {
		return found, nil
	}
	if !silent && len(view.Nodes) > 0 {
		return found, core.Errorf(core.KindNotFound, "no node has an operator %s", key).WithNext("`unibusd operator list` shows them")
	}
	return core.Operator{Key: key, Name: core.UserID(key).Short()}, nil // a silent node may have it
}

// claimRemoval lets one removal through for each state of the list, so that two admins
// cannot remove each other on two nodes at the same time. Without a quorum this is not
// known, and the removal continues: it must be possible to shut an operator out.
func (o operatorRemover) claimRemoval(ctx context.Context) error {
	if o.n.nonces.bucket == nil {
		return nil
	}
	sum := sha256.Sum256([]byte(strings.Join(o.n.removedKeys(), " ")))
	err := o.n.nonces.bucket.Create(ctx, "operators."+hex.EncodeToString(sum[:16]))
	if core.KindOf(err) == core.KindExists {
		return core.Errorf(core.KindConflict, "another operator is being removed at this moment; nothing was done").
			WithNext("look at `unibusd operator list`, and try again; after three minutes it is possible in any case")
	}
	return nil
}

// tellNodes has every node, this one included, refuse the key. It names a silent node.
func (o operatorRemover) tellNodes(ctx context.Context, r core.RemovedOperator) map[string]admin.Ended {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	nodes, err := askEveryNode(ctx, o.n, subjectRemoved, removalRequest{Key: r.Key, Removed: []core.RemovedOperator{r}}, o.n.size(),
		admin.Ended{Unknown: true, Reason: "it did not answer in time"},
		func(reply endReply) (string, admin.Ended) { return reply.Node, reply.Ended })
	if err != nil {
		o.n.log.Warn("could not tell the other nodes that an operator was removed", "operator", r.Name, "error", err)
	}
	return nodes
}

// answerRemoval refuses the keys that another node says were removed.
func (n *Node) answerRemoval(_ context.Context, body []byte) any {
	var req removalRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil
	}
	return endReply{Node: n.cfg.Name, Ended: n.addRemovedOperators(req.Removed, req.Key, "by another node's command")}
}

// learnRemovals adds the operators that other nodes removed while this one was down or cut off.
func (n *Node) learnRemovals(infos []cluster.Info) {
	for _, i := range infos {
		if i.Name != n.cfg.Name && i.Operators != nil && len(i.Operators.Removed) > 0 {
			n.addRemovedOperators(i.Operators.Removed, "", "as "+i.Name+" says")
		}
	}
}

// addRemovedOperators has this node refuse keys, and ends their sessions. The answer is
// about key alone. command says which command removed them.
func (n *Node) addRemovedOperators(some []core.RemovedOperator, key, command string) admin.Ended {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	fresh, err := n.removed.add(some)
	ended := map[string]int{}
	if len(fresh) > 0 {
		ended = n.applyOperators(command)
	}
	if err != nil && len(fresh) > 0 {
		n.log.Error("an operator was removed, and a restart of this node will bring it back", "error", err)
	}
	if _, ok := n.removed.of(key); key != "" && !ok {
		return admin.Ended{Unknown: true, Reason: fmt.Sprintf("it keeps no more than %d removed operators", maxRemovedOperators)}
	}
	if err != nil {
		return admin.Ended{Unknown: true, Reason: err.Error()}
	}
	return admin.Ended{Ended: ended[key], At: core.MillisOf(time.Now())}
}

func (n *Node) removedKeys() []string {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	return n.removed.keys()
}

// openRemovedOperators reads which operators were removed, before any is admitted.
func (n *Node) openRemovedOperators() error {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	if err := n.removed.load(); err != nil {
		return err
	}
	n.setOperators()
	return nil
}
