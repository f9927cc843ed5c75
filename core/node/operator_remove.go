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

// removedRequest tells a node which operators were removed. All that the asking
// node knows go along, Key is the one that the answer is about.
type removedRequest struct {
	Key     string                 `json:"key"`
	Removed []core.RemovedOperator `json:"removed"`
}

// Remove implements admin.Operators. The key counts as removed here before any
// other node is told; a second call for the same key tells the nodes again.
func (o operatorRemover) Remove(ctx context.Context, by core.Operator, key core.UserID) (admin.OperatorRemoved, error) {
	o.n.removing.Lock()
	defer o.n.removing.Unlock()
	removed, known := o.known(string(key))
	if !known {
		var err error
		if removed, err = o.decide(ctx, by, string(key)); err != nil {
			return admin.OperatorRemoved{}, err
		}
	}
	here := o.n.removeHere([]core.RemovedOperator{removed}, string(key), "by "+by.Name)
	nodes := o.tell(ctx, removed)
	nodes[o.n.cfg.Name] = here
	return admin.OperatorRemoved{RemovedOperator: removed, Nodes: nodes}, nil
}

func (o operatorRemover) known(key string) (core.RemovedOperator, bool) {
	o.n.reloading.Lock()
	defer o.n.reloading.Unlock()
	r, ok := o.n.removals.list[key]
	return r, ok
}

// decide refuses what would leave a node without an admin, and what somebody asks
// for who was removed meanwhile.
func (o operatorRemover) decide(ctx context.Context, by core.Operator, key string) (core.RemovedOperator, error) {
	none := core.RemovedOperator{}
	if now, ok := o.n.operator(by.Key); !ok || now.Role != core.OperatorAdmin {
		return none, core.Errorf(core.KindRefused, "%s is no admin any more", by.Name)
	}
	view := o.n.observer.Fresh(ctx)
	op, err := removable(view, o.n.cfg.Name, *o.n.operators.Load(), key)
	if err != nil {
		return none, err
	}
	if len(o.n.removedKeys()) >= maxRemovals {
		return none, core.Errorf(core.KindRefused, "%d operators were removed by command, and no node keeps more", maxRemovals).
			WithNext("take the removed keys out of every configuration file; then, with all nodes stopped, move %s out of every data directory", removalsFile)
	}
	if err := o.alone(ctx); err != nil {
		return none, err
	}
	return core.RemovedOperator{Operator: op, By: by.Name, At: core.MillisOf(time.Now())}, nil
}

// removable finds the operator on the nodes that answer, and that every one of
// these keeps an admin. here are those of the deciding node, which its own view may lag behind.
func removable(view cluster.View, name string, here map[string]core.Operator, key string) (core.Operator, error) {
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
			if op.Key != key && op.Role == core.OperatorAdmin {
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

// alone lets one removal through for each state of the list, so that two admins
// cannot remove each other on two nodes at the same time. Without a quorum nobody
// can say, and shutting somebody out goes on.
func (o operatorRemover) alone(ctx context.Context) error {
	if o.n.proof.nonces == nil {
		return nil
	}
	sum := sha256.Sum256([]byte(strings.Join(o.n.removedKeys(), " ")))
	err := o.n.proof.nonces.Create(ctx, "operators."+hex.EncodeToString(sum[:16]))
	if core.KindOf(err) == core.KindExists {
		return core.Errorf(core.KindConflict, "another operator is being removed at this moment; nothing was done").
			WithNext("look at `unibusd operator list`, and try again; within three minutes it is possible in any case")
	}
	return nil
}

// tell has every node, this one included, refuse the key. A silent one is named.
func (o operatorRemover) tell(ctx context.Context, r core.RemovedOperator) map[string]admin.Ended {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	nodes := map[string]admin.Ended{}
	for _, name := range o.n.sessions.names() {
		nodes[name] = admin.Ended{Unknown: true, Reason: "it did not answer in time"}
	}
	body, err := json.Marshal(removedRequest{Key: r.Key, Removed: []core.RemovedOperator{r}})
	if err != nil {
		return nodes
	}
	answers := 0
	err = o.n.peers.ask(ctx, subjectRemoved, body, func(reply []byte) bool {
		var a endReply
		if json.Unmarshal(reply, &a) == nil && a.Node != "" {
			nodes[a.Node] = a.Ended
			answers++
		}
		return answers < o.n.cfg.Size()
	})
	if err != nil {
		o.n.log.Warn("the other nodes could not be told that an operator was removed", "operator", r.Name, "error", err)
	}
	return nodes
}

// answerRemoved answers another node.
func (n *Node) answerRemoved(_ context.Context, body []byte) any {
	var req removedRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil
	}
	return endReply{Node: n.cfg.Name, Ended: n.removeHere(req.Removed, req.Key, "by another node's command")}
}

// learnRemovals takes over what other nodes say was removed: what this one missed while it was down or cut off.
func (n *Node) learnRemovals(infos []cluster.Info) {
	for _, i := range infos {
		if i.Name != n.cfg.Name && i.Operators != nil && len(i.Operators.Removed) > 0 {
			n.removeHere(i.Operators.Removed, "", "as "+i.Name+" says")
		}
	}
}

// removeHere has this node refuse keys, and ends their sessions. The answer is about one of them.
func (n *Node) removeHere(some []core.RemovedOperator, key, how string) admin.Ended {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	fresh, err := n.removals.add(some)
	ended := map[string]int{}
	if len(fresh) > 0 {
		ended = n.applyOperators(how)
	}
	if err != nil && len(fresh) > 0 {
		n.log.Error("an operator was removed and will be back after a restart of this node", "error", err)
	}
	if _, ok := n.removals.list[key]; key != "" && !ok {
		return admin.Ended{Unknown: true, Reason: fmt.Sprintf("it keeps no more than %d removed operators", maxRemovals)}
	}
	if err != nil {
		return admin.Ended{Unknown: true, Reason: err.Error()}
	}
	return admin.Ended{Ended: ended[key], At: core.MillisOf(time.Now())}
}

func (n *Node) removedKeys() []string {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	return n.removals.keys()
}

// openRemovals reads who was removed before anybody is let in.
func (n *Node) openRemovals() error {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	if err := n.removals.load(); err != nil {
		return err
	}
	next := operatorsByKey(n.inForce())
	n.operators.Store(&next)
	n.auth.SetRemoved(n.removals.keys())
	n.auth.SetOperators(n.inForce())
	return nil
}

// inForce are the configured operators who were not removed. The caller holds reloading.
func (n *Node) inForce() []core.Operator {
	return slices.DeleteFunc(slices.Clone(n.configured), func(op core.Operator) bool {
		_, removed := n.removals.list[op.Key]
		return removed
	})
}

func operatorList(table map[string]core.Operator) []core.Operator {
	list := make([]core.Operator, 0, len(table))
	for _, op := range table {
		list = append(list, op)
	}
	slices.SortFunc(list, func(a, b core.Operator) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// operatorsInfo is what this node says of its operators.
func (n *Node) operatorsInfo() *cluster.Operators {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	out := &cluster.Operators{List: operatorList(*n.operators.Load()), Removed: n.removals.all()}
	for _, op := range n.configured {
		if _, removed := n.removals.list[op.Key]; removed {
			out.Leftover = append(out.Leftover, op)
		}
	}
	if n.removals.unsaved != nil {
		out.Unsaved = n.removals.unsaved.Error()
	}
	if n.cfg.Source != nil {
		out.File = n.cfg.Source.Path()
	}
	if f := n.fileFault.Load(); f != nil {
		out.Fault, out.FaultSince = f.text, f.since
	}
	return out
}
