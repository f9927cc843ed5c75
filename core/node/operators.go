package node

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/cluster"
	"unibus/core/config"
)

// watchEvery is how often the configuration file is looked at. A change counts
// once it was there twice: an editor may be writing.
const watchEvery = time.Second

// operator looks an operator up by key, as the configuration has it now. One whose
// key has ended is none.
func (n *Node) operator(key string) (core.Operator, bool) {
	op, ok := (*n.operators.Load())[key]
	return op, ok && !op.Ended(core.MillisOf(time.Now()))
}

func operatorsByKey(ops []core.Operator) map[string]core.Operator {
	table := make(map[string]core.Operator, len(ops))
	for _, op := range ops {
		table[op.Key] = op
	}
	return table
}

// Reload reads the configuration again and puts its operators into force: those
// who were removed, or have another role, lose their sessions. Whatever else
// has changed needs a restart, which the log says. Where the configuration is
// wrong everything stays as it was, and the error says why.
func (n *Node) Reload() error {
	if n.cfg.Source == nil {
		return core.Errorf(core.KindRefused, "%s was not started from a configuration that can be read again", n.cfg.Name)
	}
	n.reloading.Lock()
	defer n.reloading.Unlock()
	next, err := n.cfg.Source.Load()
	n.noteFault(err)
	if err != nil {
		return err
	}
	if names := slices.DeleteFunc(config.Diff(n.cfg.Node, next), func(s string) bool { return s == "operator" }); len(names) > 0 {
		n.log.Warn("these settings have changed and need a restart of this node", "settings", strings.Join(names, ", "))
	}
	n.configured = next.Operators
	n.applyOperators("")
	return nil
}

// fileFault is why the configuration file cannot be used, and since when.
type fileFault struct {
	text  string
	since core.Millis
}

// noteFault keeps what is wrong with the file for the other nodes to see; nil is nothing.
func (n *Node) noteFault(err error) {
	if err == nil {
		n.fileFault.Store(nil)
		return
	}
	e := core.AsError(err)
	f := &fileFault{text: e.Text, since: core.MillisOf(time.Now())}
	if before := n.fileFault.Load(); before != nil {
		f.since = before.since
	}
	n.fileFault.Store(f)
}

// applyOperators first changes who is let in, then ends the sessions of those who
// are not any more: a connection that is being admitted meanwhile is ended too. It
// returns how many of each key's sessions it ended. how says why where it was a
// command; the caller holds reloading.
func (n *Node) applyOperators(how string) map[string]int {
	next := operatorsByKey(n.inForce())
	before := *n.operators.Swap(&next)
	n.auth.SetRemoved(n.removals.keys())
	n.auth.SetOperators(n.inForce())
	if err := n.bus.PrepareAccounts(); err != nil {
		n.log.Error("an operator who was added has no account yet; its first session makes one", "error", err)
	}
	ended := map[string]int{}
	var said []string
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if now, ok := next[key]; !ok || now != before[key] {
			ended[key] = n.bus.DisconnectUser(key)
			word := "removed"
			if ok {
				word = "changed to " + string(now.Role)
			}
			said = append(said, fmt.Sprintf("%s (%s) %s, %d sessions ended", before[key].Name, before[key].Role, word, ended[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(next)) {
		if _, ok := before[key]; !ok {
			n.bus.DisconnectUser(key) // it may be connected as a user of the bus
			said = append(said, fmt.Sprintf("%s (%s) added", next[key].Name, next[key].Role))
		}
	}
	for _, key := range n.removals.keys() {
		if _, ok := before[key]; !ok {
			ended[key] += n.bus.DisconnectUser(key) // it may be connected as a user of the bus, too
		}
	}
	n.sayChange(said, how)
	return ended
}

// sayChange logs a change of the operators and tells every node's events.
func (n *Node) sayChange(said []string, how string) {
	if len(said) == 0 {
		if how == "" {
			n.log.Info("the configuration was read again; the operators are the same")
		}
		return
	}
	text := strings.Join(said, "; ")
	if how != "" {
		text += ", " + how
	}
	n.log.Info("the operators have changed", "change", text)
	if n.peers != nil { // nobody listens yet while the node starts
		eyes{n}.Note(cluster.Note, "node."+n.cfg.Name, "operators changed: "+text)
	}
}

func (n *Node) openOperators(context.Context) error {
	ctx, end := context.WithCancel(context.Background())
	n.watching = end
	n.watch.Go(func() { n.endExpiredOperators(ctx) })
	if n.cfg.Source != nil && n.cfg.Source.Path() != "" {
		n.watch.Go(func() { n.watchFile(ctx) })
	}
	return nil
}

func (n *Node) closeOperators(context.Context) error {
	if n.watching != nil {
		n.watching()
	}
	n.watch.Wait()
	return nil
}

// watchFile reloads where the file is another one than was read last, and rests. A
// change that came while the node started counts as well.
func (n *Node) watchFile(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := n.cfg.Source.Print()
		if now != seen || now == n.cfg.Source.Loaded() {
			seen = now
			continue
		}
		if err := n.Reload(); err != nil {
			n.log.Error("the configuration file has changed and cannot be used; the operators stay as they are", "file", n.cfg.Source.Path(), "error", err)
		}
	}
}
