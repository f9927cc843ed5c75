package node

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
	"unibus/core/store/kv"
)

// clusterKey is the key by which clients know the cluster. Its public half is
// recorded once, by a quorum; every node keeps the private half in its data
// directory and hands it to nodes that lack it. It is in no bucket and no backup.
//
// A node alone makes one at its first start. In a cluster the first to record
// its public half founds it: a node that has a key from before at once, a fresh
// one only when no node has a key, so that a node which operators know already
// stays the one that they know.
type clusterKey struct {
	n    *Node
	path string

	mu    sync.Mutex
	key   keys.Identity // in force; its public half is "" while it is not known
	known chan struct{} // closed once it is
	other string        // the public half of the file, where the cluster has another key

	end  context.CancelFunc
	work sync.WaitGroup
}

const (
	subjectKey = "unibus.peer.v1.all.cluster-key" // keyRequest → keyReply, from nodes that have it

	foundEvery  = 300 * time.Millisecond
	foundWithin = 10 * time.Second // for nodes that are down while a cluster is founded
	fetchWithin = 2 * time.Second
	awaitWithin = 2 * time.Second
)

type keyRequest struct {
	Key string `json:"key"`
}

type keyReply struct {
	Seed []byte `json:"seed"`
}

// openClusterKey reads the file. In a cluster the record is looked up in the background.
func (n *Node) openClusterKey(context.Context) error {
	k := n.clusterKey
	id, err := keys.ReadClusterKey(k.path)
	switch {
	case core.KindOf(err) == core.KindNotFound && n.cfg.Clustered():
	case core.KindOf(err) == core.KindNotFound:
		if id, err = makeClusterKey(k.path); err != nil {
			return err
		}
		n.log.Info("this node's cluster has a key now, by which clients know it", "key", id.Public())
	case err != nil:
		return err
	}
	k.set(id)
	if n.cfg.Clustered() {
		ctx, end := context.WithCancel(context.Background())
		k.end = end
		k.work.Go(func() { k.settle(ctx) })
	}
	return nil
}

func (n *Node) closeClusterKey(context.Context) error {
	if n.clusterKey.end != nil {
		n.clusterKey.end()
		n.clusterKey.work.Wait()
	}
	return nil
}

func makeClusterKey(path string) (keys.Identity, error) {
	seed, id, err := keys.GenerateCluster()
	if err == nil {
		err = keys.Replace(path, append(seed, '\n'))
	}
	if err != nil {
		return keys.Identity{}, core.Errorf(core.KindFailed, "the cluster's key cannot be made in %s: %w", path, err)
	}
	return id, nil
}

func (k *clusterKey) set(id keys.Identity) {
	if id.Public() == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key.Public() == "" {
		close(k.known)
	}
	k.key = id
}

// await waits until the key is known, for no longer than a cluster takes that was just started.
func (k *clusterKey) await(ctx context.Context) {
	limit := time.NewTimer(awaitWithin)
	defer limit.Stop()
	select {
	case <-k.known:
	case <-ctx.Done():
	case <-limit.C:
	}
}

// get is the key in force; false while it is not known.
func (k *clusterKey) get() (auth.Signer, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key, k.key.Public() != ""
}

// Public is the public half of the key in force, "" while it is not known.
func (k *clusterKey) Public() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key.Public()
}

// Sign signs a backup, as this node's. KindUnavailable while the key is not known.
func (k *clusterKey) Sign(data []byte) ([]byte, error) {
	signer, ok := k.get()
	if !ok {
		return nil, core.Errorf(core.KindUnavailable, "%s does not know the cluster's key yet", k.n.cfg.Name).WithNext("wait for a majority of the nodes, and try again")
	}
	return signer.Sign(data)
}

// conflict is the public half of the node's own file where the cluster has another key.
func (k *clusterKey) conflict() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.other
}

// settle goes on until this node has the key that the cluster recorded.
func (k *clusterKey) settle(ctx context.Context) {
	begun := time.Now()
	for ctx.Err() == nil {
		done, err := k.try(ctx, time.Since(begun))
		if done {
			return
		}
		if err != nil && core.KindOf(err) != core.KindUnavailable && ctx.Err() == nil {
			k.n.log.Warn("the cluster's key is not settled yet", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(foundEvery):
		}
	}
}

func (k *clusterKey) try(ctx context.Context, waited time.Duration) (done bool, err error) {
	recorded, err := k.n.controlRecord.ClusterKey(ctx)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		return false, k.found(ctx, waited)
	case err != nil:
		return false, err
	case recorded == k.Public():
		return true, removeDraft(k.path)
	}
	return k.adopt(ctx, recorded)
}

// draftOf is where a key is kept that is not recorded yet: it is there before
// the record, so that no crash leaves a record of a key that nobody has.
func draftOf(path string) string { return path + ".draft" }

func removeDraft(path string) error {
	if err := os.Remove(draftOf(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return core.Errorf(core.KindFailed, "%s cannot be removed: %w", draftOf(path), err)
	}
	return nil
}

// found records a key for a cluster that has none.
func (k *clusterKey) found(ctx context.Context, waited time.Duration) error {
	public := k.Public()
	if public == "" {
		if !k.mayFound() && waited < foundWithin {
			return nil
		}
		draft, err := keys.ReadClusterKey(draftOf(k.path))
		if core.KindOf(err) == core.KindNotFound {
			draft, err = makeClusterKey(draftOf(k.path))
		}
		if err != nil {
			return err
		}
		public = draft.Public()
	}
	err := k.n.controlRecord.CreateClusterKey(ctx, public)
	if core.KindOf(err) == core.KindConflict {
		return nil // another node was first; the next look tells
	}
	return err
}

// mayFound is true where every node answers and none has a key from before.
func (k *clusterKey) mayFound() bool {
	v := k.n.observer.View()
	for _, node := range v.Nodes {
		if node.Info == nil || node.Info.ClusterKey != "" {
			return false
		}
	}
	return len(v.Nodes) >= v.Expected
}

// adopt takes over the key that is recorded: from this node's own draft, or from
// another node. A different key in the file stays there: operators who know this
// node by it will not know it any more, and are told why.
func (k *clusterKey) adopt(ctx context.Context, recorded string) (done bool, err error) {
	id, err := keys.ReadClusterKey(draftOf(k.path))
	var seed []byte
	if err == nil && id.Public() == recorded {
		seed, err = keys.ReadPrivate(draftOf(k.path), "the cluster's key")
	} else {
		id, seed, err = k.fetch(ctx, recorded)
	}
	if err != nil {
		return false, err
	}
	own := k.Public()
	if own == "" {
		if err := keys.Replace(k.path, seed); err != nil {
			return false, core.Errorf(core.KindFailed, "the cluster's key cannot be kept in %s: %w", k.path, err)
		}
	} else {
		k.n.log.Error("this node has another key than its cluster: clients that know it by the old one will refuse it", "own", own, "cluster", recorded, "file", k.path)
	}
	k.set(id)
	k.mu.Lock()
	k.other = own
	k.mu.Unlock()
	k.n.log.Info("the cluster's key is known", "key", recorded)
	return true, removeDraft(k.path)
}

// fetch asks the other nodes for the private half of a key. KindUnavailable where none has it.
func (k *clusterKey) fetch(ctx context.Context, public string) (id keys.Identity, seed []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	body, err := json.Marshal(keyRequest{Key: public})
	if err != nil {
		return id, nil, err
	}
	found := false
	err = k.n.peers.ask(ctx, subjectKey, body, func(reply []byte) bool {
		var r keyReply
		if json.Unmarshal(reply, &r) != nil {
			return true
		}
		if id, err = keys.ParseClusterSeed(r.Seed); err == nil && id.Public() == public {
			seed, found = r.Seed, true
		}
		return !found
	})
	if !found {
		return id, nil, core.Errorf(core.KindUnavailable, "no node that answers has the private half of the cluster's key %s", public)
	}
	return id, seed, err
}

// share answers a node that lacks the key; nil where this one lacks it too.
func (k *clusterKey) share(_ context.Context, body []byte) any {
	var req keyRequest
	if json.Unmarshal(body, &req) != nil {
		return nil
	}
	for _, path := range []string{k.path, draftOf(k.path)} {
		if id, err := keys.ReadClusterKey(path); err == nil && id.Public() == req.Key {
			if seed, err := keys.ReadPrivate(path, "the cluster's key"); err == nil {
				return keyReply{Seed: seed}
			}
		}
	}
	return nil
}

// knownChannel says whether clients of any node of this cluster may see a channel.
func (n *Node) knownChannel(c auth.Channel) bool {
	if slices.Contains(n.bus.Channels(), c) {
		return true
	}
	for _, node := range n.observer.View().Nodes {
		if node.Info != nil && slices.Contains(node.Info.Channels, c.String()) {
			return true
		}
	}
	return false
}

// prover answers at once: operators must not wait where a cluster has no majority.
func (n *Node) prover() auth.Prover { return auth.Prover{Key: n.clusterKey.get, Known: n.knownChannel} }

// patientProver waits for a cluster that was just started: a user's program has
// nothing to do before.
func (n *Node) patientProver() auth.Prover {
	p := n.prover()
	p.Key = func() (auth.Signer, bool) {
		n.clusterKey.await(context.Background())
		return n.clusterKey.get()
	}
	return p
}

// newReplay checks signed requests for this node's cluster.
func (n *Node) newReplay(nonces *kv.Nonces) *auth.Replay {
	r := &auth.Replay{Node: n.cfg.Name, Cluster: n.clusterKey.Public, Await: n.clusterKey.await, Known: n.knownChannel, Own: auth.NewMemory(time.Now), Now: time.Now}
	if nonces != nil {
		r.Nonces = nonces
	}
	return r
}
