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

// configPoll is how often the configuration file is read. A change counts once it was
// read twice: an editor may be writing.
const configPoll = time.Second

// operator looks up an operator in force by key. An operator whose key has ended is none.
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

// setOperators puts the operators in force into the table and the authenticator, and
// returns the table before. The caller holds reloading.
func (n *Node) setOperators() map[string]core.Operator {
	list := n.admittedOperators()
	next := operatorsByKey(list)
	before := *n.operators.Swap(&next)
	n.auth.SetRemoved(n.removed.keys())
	n.auth.SetOperators(list)
	return before
}

// admittedOperators are the configured operators that were not removed. The caller holds reloading.
func (n *Node) admittedOperators() []core.Operator {
	return slices.DeleteFunc(slices.Clone(n.configured), func(op core.Operator) bool {
		_, removed := n.removed.of(op.Key)
		return removed
	})
}

// reload reads the configuration again and puts its operators into force. Operators
// that were removed, or have another role, lose their sessions. Other changes need a
// restart, which the log says. If the configuration is wrong, nothing changes.
func (n *Node) reload() error {
	if n.cfg.Source == nil {
		return core.Errorf(core.KindRefused, "%s was not started from a configuration that can be read again", n.cfg.Name)
	}
	n.reloading.Lock()
	defer n.reloading.Unlock()
	next, err := n.cfg.Source.Load()
	n.noteConfigFault(err)
	if err != nil {
		return err
	}
	names := slices.DeleteFunc(config.Diff(n.cfg.Node, next), func(s string) bool { return s == "operator" })
	n.needRestart.Store(&names)
	if len(names) > 0 {
		n.log.Warn("these settings have changed; they need a restart of this node", "settings", strings.Join(names, ", "))
	}
	n.configured = next.Operators
	n.applyOperators("")
	return nil
}

// settleLong bounds the wait for a file that is being written, after a hangup.
const settleLong = 3 * time.Second

// reloadSettled is reload once the file rests. An operator's tool may send the signal while
// another one writes. A file that goes on changing is read by watchConfig once it rests.
func (n *Node) reloadSettled(ctx context.Context) error {
	if n.cfg.Source != nil && n.cfg.Source.Path() != "" {
		ctx, cancel := context.WithTimeout(ctx, settleLong)
		defer cancel()
		if err := n.cfg.Source.Settle(ctx); err != nil {
			return err
		}
	}
	err := n.reload()
	if err == nil {
		n.log.Info("the configuration was read again")
	}
	return err
}

// configFault is why the configuration file cannot be used, and since when.
type configFault struct {
	text  string
	since core.Millis
}

// noteConfigFault keeps what is wrong with the file, for the other nodes to see. A nil err is no fault.
func (n *Node) noteConfigFault(err error) {
	if err == nil {
		n.configFault.Store(nil)
		return
	}
	e := core.AsError(err)
	f := &configFault{text: e.Text, since: core.MillisOf(time.Now())}
	if before := n.configFault.Load(); before != nil {
		f.since = before.since
	}
	n.configFault.Store(f)
}

// applyOperators first changes which operators are admitted, and then ends the sessions
// of the others, so that a connection that is being admitted meanwhile ends too. It
// returns how many sessions of each key it ended. command names the command that
// changed them, "" for the configuration. The caller holds reloading.
func (n *Node) applyOperators(command string) map[string]int {
	before := n.setOperators()
	next := *n.operators.Load()
	if err := n.bus.PrepareAccounts(); err != nil {
		n.log.Error("an added operator has no account yet; its first session makes one", "error", err)
	}
	ended := map[string]int{}
	var changes []string
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if now, ok := next[key]; !ok || now != before[key] {
			ended[key] = n.bus.DisconnectUser(key)
			word := "removed"
			if ok {
				word = "changed to " + string(now.Role)
			}
			changes = append(changes, fmt.Sprintf("%s (%s) %s, %d sessions ended", before[key].Name, before[key].Role, word, ended[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(next)) {
		if _, ok := before[key]; !ok {
			n.bus.DisconnectUser(key) // it may be connected as a user of the bus
			changes = append(changes, fmt.Sprintf("%s (%s) added", next[key].Name, next[key].Role))
		}
	}
	for _, key := range n.removed.keys() {
		if _, ok := before[key]; !ok {
			ended[key] += n.bus.DisconnectUser(key) // it may be connected as a user of the bus, too
		}
	}
	n.announceOperatorChanges(changes, command)
	return ended
}

// announceOperatorChanges logs changes of the operators and tells every node's recorder.
func (n *Node) announceOperatorChanges(changes []string, command string) {
	if len(changes) == 0 {
		return
	}
	text := strings.Join(changes, "; ")
	if command != "" {
		text += ", " + command
	}
	n.log.Info("the operators have changed", "change", text)
	if n.peers != nil { // nil while the node starts
		clusterView{n}.Note(cluster.Note, "node."+n.cfg.Name, "operators changed: "+text)
	}
}

func (n *Node) openOperators(context.Context) error {
	ctx := n.operatorWatch.start()
	n.operatorWatch.run(func() { n.endExpiredOperators(ctx) })
	if n.cfg.Source != nil && n.cfg.Source.Path() != "" {
		n.operatorWatch.run(func() { n.watchConfig(ctx) })
	}
	return nil
}

func (n *Node) closeOperators(context.Context) error {
	n.operatorWatch.stop()
	return nil
}

// configRestless is how long a file may go on changing until that is a fault.
const configRestless = 10 * time.Second

// watchConfig reloads the file when it differs from the one that was loaded and no longer
// changes. A change during the start of the node counts too. A file that changes all the
// time is never read, because it may be half of itself at any moment; status says so.
func (n *Node) watchConfig(ctx context.Context) {
	seen, rested, told := "", time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(core.UntilTick(configPoll)):
		}
		now := n.cfg.Source.Fingerprint()
		if now != seen {
			seen = now
			if time.Since(rested) >= configRestless && !told {
				told = true
				n.noteRestlessConfig()
			}
			continue
		}
		rested = time.Now()
		if now == n.cfg.Source.LoadedFingerprint() && !told {
			continue
		}
		told = false
		if err := n.reload(); err != nil {
			n.log.Error("the configuration file has changed and cannot be used; the operators stay as they are", "file", n.cfg.Source.Path(), "error", err)
		}
	}
}

// noteRestlessConfig tells of a file that never rests.
func (n *Node) noteRestlessConfig() {
	err := core.Errorf(core.KindUnavailable, "the configuration file %s changes all the time and is not read; the settings of before stay in force", n.cfg.Source.Path())
	n.reloading.Lock()
	n.noteConfigFault(err)
	n.reloading.Unlock()
	n.log.Error("the configuration file changes all the time and is not read until it rests", "file", n.cfg.Source.Path())
}
