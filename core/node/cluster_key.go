package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"unibus/core"
	"unibus/core/auth"
	"unibus/core/keys"
)

// clusterKey is the key by which clients know the cluster. A quorum records its public
// half once. Every node keeps the private half in its data directory and hands it to
// nodes that lack it. It is in no bucket and no backup.
//
// A node alone makes one at its first start. In a cluster the first node to record its
// public half founds the key: a node with a key from before does so at once, a new one
// only if no node has a key. So a node that operators know already keeps its key. A
// majority keeps the private half before it is recorded, so that the key outlives the
// loss of the node that made it.
type clusterKey struct {
	n    *Node
	path string

	mu       sync.Mutex
	key      keys.Identity // in force; its public half is "" while it is not known
	known    chan struct{} // closed once the key is known
	settled  bool          // the key in force is the recorded one
	replaced string        // the public half in the file, if the cluster has another key

	settling background
	asked    time.Time // when a majority first answered that no key is recorded; of settle alone
}

const (
	settleEvery = 300 * time.Millisecond
	// recordTimeout is how long a new node lets others record theirs. It begins with the
	// majority, not with the process: the node that clients know may join minutes after the
	// new ones have started, and it brings the majority.
	recordTimeout = 10 * time.Second
	fetchTimeout  = 2 * time.Second
	awaitTimeout  = 2 * time.Second
)

type clusterKeyRequest struct {
	Key string `json:"key"`
}

// keyReply is also what a node that founds a key asks the others to keep.
type keyReply struct {
	Seed []byte `json:"seed"`
}

type keptReply struct {
	Name string `json:"name"`
}

func newClusterKey(n *Node, path string) *clusterKey {
	return &clusterKey{n: n, known: make(chan struct{}), path: path}
}

// openClusterKey reads the file. In a cluster a goroutine compares it with the record.
func (n *Node) openClusterKey(context.Context) error {
	k := n.clusterKey
	id, err := keys.ReadClusterKey(k.path)
	switch {
	case core.KindOf(err) == core.KindNotFound && n.cfg.Clustered():
	case core.KindOf(err) == core.KindNotFound:
		if id, err = makeClusterKey(k.path); err != nil {
			return err
		}
		n.log.Info("made the key by which clients know this cluster", "key", id.Public())
	case err != nil:
		return err
	}
	k.set(id)
	if n.cfg.Clustered() {
		ctx := k.settling.start()
		k.settling.run(func() { k.settle(ctx) })
	}
	return nil
}

func (n *Node) closeClusterKey(context.Context) error {
	n.clusterKey.settling.stop()
	return nil
}

func makeClusterKey(path string) (keys.Identity, error) {
	seed, id, err := keys.GenerateCluster()
	if err == nil {
		err = keys.Replace(path, append(seed, '\n'))
	}
	if err != nil {
		return keys.Identity{}, core.Errorf(core.KindFailed, "the cluster key cannot be written to %s: %w", path, err)
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

// await waits until the key is known, at most as long as a cluster needs that was just started.
func (k *clusterKey) await(ctx context.Context) {
	limit := time.NewTimer(awaitTimeout)
	defer limit.Stop()
	select {
	case <-k.known:
	case <-ctx.Done():
	case <-limit.C:
	}
}

// get returns the key in force; false while it is not known.
func (k *clusterKey) get() (auth.Signer, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key, k.key.Public() != ""
}

// Public returns the public half of the key in force; "" while it is not known.
func (k *clusterKey) Public() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key.Public()
}

// Sign signs a backup of this node. KindUnavailable while the key is not known.
func (k *clusterKey) Sign(data []byte) ([]byte, error) {
	signer, ok := k.get()
	if !ok {
		return nil, core.Errorf(core.KindUnavailable, "%s does not know the cluster key yet", k.n.cfg.Name).WithNext("wait for a majority of the nodes, and try again")
	}
	return signer.Sign(data)
}

// conflict returns the public half of the node's own file if the cluster has another key; else "".
func (k *clusterKey) conflict() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.replaced
}

// settle repeats until this node has the key that the cluster recorded, and no other draft.
func (k *clusterKey) settle(ctx context.Context) {
	for ctx.Err() == nil {
		done, err := k.settleOnce(ctx)
		if done {
			return
		}
		if err != nil && core.KindOf(err) != core.KindUnavailable && ctx.Err() == nil {
			k.n.log.Warn("the cluster key is not settled on this node yet; it tries again", "error", err)
		}
		sleep(ctx, settleEvery)
	}
}

// settleOnce returns true once this node has the recorded key, and no private half of another.
func (k *clusterKey) settleOnce(ctx context.Context) (done bool, err error) {
	recorded, err := k.n.controlRecord.ClusterKey(ctx)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		if k.asked.IsZero() {
			k.asked = time.Now()
		}
		return false, k.recordNewKey(ctx, time.Since(k.asked))
	case err != nil:
		return false, err
	case recorded == k.Public():
		err := k.endFounding()
		return err == nil, err
	}
	return k.takeRecordedKey(ctx, recorded)
}

// draftPath is the file of a key that is not recorded yet. It is written before the
// record, so that no crash leaves a record of a key that no node has.
func draftPath(path string) string { return path + ".draft" }

// keptPath is the file of another node's draft.
func keptPath(path, public string) string { return draftPath(path) + "." + public }

// maxKept bounds the drafts of other nodes: each node of a new cluster may offer one.
const maxKept = 32

// endFounding removes every key that was not recorded, and keeps no further ones.
func (k *clusterKey) endFounding() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settled = true
	drafts, err := filesBeginning(draftPath(k.path))
	for _, draft := range drafts {
		err = errors.Join(err, os.Remove(draft))
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "the drafts of the cluster's key beside %s are not used, and their private keys stay on this disk: %w", k.path, err).
			WithNext("check the permissions of the data directory")
	}
	return nil
}

// filesBeginning returns the files of a directory whose names begin as path does. A
// pattern would not find them below a directory such as "data[1]".
func filesBeginning(path string) ([]string, error) {
	dir, begin := filepath.Dir(path), filepath.Base(path)
	entries, err := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), begin) {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out, err
}

// recordNewKey records a key for a cluster that has none.
func (k *clusterKey) recordNewKey(ctx context.Context, waited time.Duration) error {
	path, public := k.path, k.Public()
	if public == "" {
		if !k.mayRecordNewKey() && waited < recordTimeout {
			return nil
		}
		path = draftPath(k.path)
		draft, err := keys.ReadClusterKey(path)
		if core.KindOf(err) == core.KindNotFound {
			draft, err = makeClusterKey(path)
		}
		if err != nil {
			return err
		}
		public = draft.Public()
	}
	if err := k.offer(ctx, path); err != nil {
		return err
	}
	err := k.n.controlRecord.CreateClusterKey(ctx, public)
	if core.KindOf(err) == core.KindConflict {
		return nil // another node was first; the next try reads its key
	}
	return err
}

// offer returns nil once a majority of the nodes, this one among them, keeps the key of the file.
func (k *clusterKey) offer(ctx context.Context, path string) error {
	seed, err := keys.ReadPrivate(path, "the cluster's key")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	majority := k.n.size()/2 + 1
	kept, err := askEveryNode(ctx, k.n, subjectKeepKey, keyReply{Seed: seed}, majority, false, func(r keptReply) (string, bool) { return r.Name, true })
	n := 0
	for _, yes := range kept {
		if yes {
			n++
		}
	}
	if n < majority {
		return errFewKeep(n, len(kept), majority, err)
	}
	return nil
}

// errFewKeep has as its cause why the nodes could not be asked; nil where they were silent.
func errFewKeep(n, of, needed int, cause error) error {
	text := fmt.Sprintf("the cluster's key is not recorded yet: %d of %d nodes keep it, and %d are needed", n, of, needed)
	if cause == nil {
		return core.Errorf(core.KindUnavailable, "%s", text)
	}
	return core.Errorf(core.KindUnavailable, "%s: %w", text, cause)
}

// keep answers a node that founds a key, once that key is on this node's disk too.
func (k *clusterKey) keep(_ context.Context, body []byte) any {
	var r keyReply
	if json.Unmarshal(body, &r) != nil {
		return nil
	}
	id, err := keys.ParseClusterSeed(r.Seed)
	if err != nil {
		return nil
	}
	if err := k.keepDraft(id.Public(), r.Seed); err != nil {
		k.n.log.Warn("the cluster's key that another node offers is not kept", "error", err)
		return nil
	}
	return keptReply{Name: k.n.cfg.Name}
}

func (k *clusterKey) keepDraft(public string, seed []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.key.Public() == public: // from the file, or written to it
		return nil
	case k.settled:
		return core.Errorf(core.KindRefused, "this cluster has another key")
	}
	path := keptPath(k.path, public)
	if _, err := keys.ReadClusterKey(path); err == nil {
		return nil
	}
	switch kept, err := filesBeginning(keptPath(k.path, "")); {
	case err != nil:
		return core.Errorf(core.KindFailed, "the drafts of the cluster's key beside %s cannot be counted: %w", k.path, err)
	case len(kept) >= maxKept:
		return core.Errorf(core.KindRefused, "%d keys are kept already, and a node keeps no more", len(kept))
	}
	return keys.Replace(path, seed)
}

// mayRecordNewKey is true if every node answers and none has a key from before.
func (k *clusterKey) mayRecordNewKey() bool {
	v := k.n.observer.View()
	for _, node := range v.Nodes {
		if node.Info == nil || node.Info.ClusterKey != "" {
			return false
		}
	}
	return len(v.Nodes) >= v.Expected
}

// takeRecordedKey takes the recorded key from this node's own draft, or from another node. A
// different key in the file stays there. Clients that know this node by it will refuse
// the node, and the log says why.
func (k *clusterKey) takeRecordedKey(ctx context.Context, recorded string) (done bool, err error) {
	id, seed, err := k.draftOf(recorded)
	if core.KindOf(err) == core.KindNotFound {
		id, seed, err = k.fetch(ctx, recorded)
	}
	if err != nil {
		return false, err
	}
	own := k.Public()
	if own == "" {
		if err := keys.Replace(k.path, seed); err != nil {
			return false, core.Errorf(core.KindFailed, "the cluster key cannot be written to %s: %w", k.path, err)
		}
	} else {
		k.n.log.Error("this node had another key than its cluster: clients that know its own key will refuse it", "own", own, "cluster", recorded, "file", k.path)
	}
	k.set(id)
	k.mu.Lock()
	k.replaced = own
	k.mu.Unlock()
	k.n.log.Info("the cluster key is known", "key", recorded)
	err = k.endFounding()
	return err == nil, err
}

// draftOf returns the private half of a key that this node drafted or kept; KindNotFound if it did neither.
func (k *clusterKey) draftOf(public string) (id keys.Identity, seed []byte, err error) {
	for _, path := range []string{draftPath(k.path), keptPath(k.path, public)} {
		if id, err = keys.ReadClusterKey(path); err == nil && id.Public() == public {
			seed, err = keys.ReadPrivate(path, "the cluster's key")
			return id, seed, err
		}
	}
	return keys.Identity{}, nil, core.Errorf(core.KindNotFound, "there is no draft of the cluster's key %s", public)
}

// fetch asks the other nodes for the private half of a key. KindUnavailable if none has it.
func (k *clusterKey) fetch(ctx context.Context, public string) (id keys.Identity, seed []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	body, err := json.Marshal(clusterKeyRequest{Key: public})
	if err != nil {
		return id, nil, err
	}
	found := false
	err = k.n.peers.ask(ctx, subjectClusterKey, body, func(reply []byte) bool {
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
		return id, nil, core.Errorf(core.KindUnavailable, "no node that answers has the private half of the cluster key %s", public)
	}
	return id, seed, err
}

// share answers a node that lacks the key; nil if this one lacks it too.
func (k *clusterKey) share(_ context.Context, body []byte) any {
	var req clusterKeyRequest
	if json.Unmarshal(body, &req) != nil {
		return nil
	}
	if id, err := keys.ReadClusterKey(k.path); err == nil && id.Public() == req.Key {
		if seed, err := keys.ReadPrivate(k.path, "the cluster's key"); err == nil {
			return keyReply{Seed: seed}
		}
	}
	if _, seed, err := k.draftOf(req.Key); err == nil {
		return keyReply{Seed: seed}
	}
	return nil
}

// isClusterChannel says whether clients of any node of this cluster may see a channel.
func (n *Node) isClusterChannel(c auth.Channel) bool {
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

// prover answers at once: operators must not wait while a cluster has no majority.
func (n *Node) prover() auth.Prover {
	return auth.Prover{Key: n.clusterKey.get, IsClusterChannel: n.isClusterChannel}
}

// waitingProver waits for a cluster that was just started: a user's program can do
// nothing before.
func (n *Node) waitingProver() auth.Prover {
	p := n.prover()
	p.Key = func() (auth.Signer, bool) {
		n.clusterKey.await(context.Background())
		return n.clusterKey.get()
	}
	return p
}
