package cluster

import (
	"fmt"
	"slices"
	"time"

	"unibus/core"
)

const (
	diskFull    = 0.95
	diskFilling = 0.80
)

// judgeNodes looks for nodes that are away while the others suffice, and for full disks.
func judgeNodes(v View) []Finding {
	if v.At == 0 {
		return nil
	}
	var fs []Finding
	enough := v.Meta.Online >= v.Meta.Needed
	if enough && len(v.silent())+v.neverHeard() > 0 && !v.onlyMaintenanceIsSilent() {
		fs = append(fs, silentNodes(v))
	}
	for _, n := range v.Nodes {
		if n.Off {
			f := turnedOff(n)
			if enough && len(v.silent())+v.neverHeard() == 0 {
				f.Text += nextLoss(v)
			}
			fs = append(fs, f)
		}
		if f, ok := disk(n); ok && n.Online {
			fs = append(fs, f)
		}
	}
	return fs
}

// silentNodes says who is away, that the others suffice, and how near the end is.
func silentNodes(v View) Finding {
	silent, n := v.silent(), len(v.silent())
	about, next := "meta", v.neverReachedAdvice()
	if n == 1 {
		about = "node." + silent[0]
	}
	if n > 0 {
		next = v.reviveAdvice(silent, join(silent))
	}
	m := v.Meta
	verb := "answer"
	if len(v.off()) > 0 {
		verb = "keep data"
	}
	text := fmt.Sprintf("%s. %d of %d nodes %s and %d suffice", whoIsSilent(v), m.Online, m.Size, verb, m.Needed)
	if slices.Contains(silent, v.onSQLite()) {
		text += fmt.Sprintf(", but the control plane is SQLite on %s: writes fail, and new connections are refused.", v.onSQLite())
		return Finding{Critical, about, text, next}
	}
	if v.onKV() && v.allServe() && len(v.Lost) == 0 {
		text += ": the cluster goes on, and nothing is lost"
	}
	return Finding{Degraded, about, text + "." + nextLoss(v), next + v.replaceAdvice(silent)}
}

// longSilence is how long a node is silent before its machine may be lost for good.
const longSilence = 5 * time.Minute

// replaceAdvice says how a single node is replaced whose machine is lost. That is
// final, so that it is not the first advice.
func (v View) replaceAdvice(silent []string) string {
	if len(silent) != 1 || len(v.online()) < 2 {
		return ""
	}
	n, _ := v.node(silent[0])
	long := n.HeardMS < 0 || n.HeardMS > longSilence.Milliseconds()
	if !long || RemovalUnsafe(v, n.Name) != nil {
		return ""
	}
	return fmt.Sprintf("; if its machine is lost for good: unibusd node replace %s NEW", n.Name)
}

// allServe is true where no bucket of the control plane has stopped.
func (v View) allServe() bool {
	for _, b := range v.AllBuckets() {
		if b.liveReplicas() < b.needed() {
			return false
		}
	}
	return len(v.Buckets) > 0
}

// nextLoss says what the next node to stop would take with it.
func nextLoss(v View) string {
	if out := v.lossesByNode(" If %s stops as well, %s."); out != "" {
		return out
	}
	return " " + mayMore(v.tolerableStops())
}

// lossesByNode says what each node would take with it, those of the same weight at once.
func (v View) lossesByNode(format string) string {
	byText := map[string][]string{}
	order := []string{}
	for _, n := range v.online() {
		l := v.lossOf(n)
		if l.nothing() {
			continue
		}
		text := v.consequence(l, n)
		if byText[text] == nil {
			order = append(order, text)
		}
		byText[text] = append(byText[text], n)
	}
	out := ""
	for _, text := range order {
		out += fmt.Sprintf(format, either(byText[text]), text)
	}
	return out
}

func mayMore(k int) string {
	if k == 0 {
		return "No other may stop."
	}
	return fmt.Sprintf("Any %s more may stop.", number(k))
}

// turnedOff is for a node that answers and keeps no data: it does not come back by itself.
func turnedOff(n Node) Finding {
	return Finding{
		Degraded, "node." + n.Name,
		fmt.Sprintf("JetStream has turned itself off on %s, as it does where a disk is full: its replicas stand still, and it does not count for a majority.", n.Name),
		"free disk space in the data directory of " + n.Name + ", then restart unibusd there" + guided("disk-full"),
	}
}

// disk warns before JetStream has no room left: a full bucket refuses revocations too.
func disk(n Node) (Finding, bool) {
	if n.DiskMax <= 0 {
		return Finding{}, false
	}
	used := float64(n.Disk) / float64(n.DiskMax)
	f := Finding{About: "node." + n.Name, Next: "free space on " + n.Name + ", or allow JetStream more of its disk"}
	switch percent := int(used*100 + 0.5); {
	case used > diskFull:
		f.Level, f.Text = Critical, fmt.Sprintf("%s has used %d %% of the disk that JetStream may use: soon every write fails, revocations included.", n.Name, percent)
	case used > diskFilling:
		f.Level, f.Text = Degraded, fmt.Sprintf("%s has used %d %% of the disk that JetStream may use: when it is full, every write fails.", n.Name, percent)
	default:
		return Finding{}, false
	}
	return f, true
}

// judgeAuthority looks for nodes that serve different truths, or none.
func judgeAuthority(v View) []Finding {
	var fs []Finding
	if v.Clustered && v.At == 0 {
		return nil
	}
	if v.Clustered && v.noRecord() && v.Meta.Online >= v.Meta.Needed {
		fs = append(fs, divergentStores(v)...)
	}
	fs = append(fs, nobodyServes(v)...)
	if v.Authority != nil && v.Clustered {
		fs = append(fs, journals(v)...)
	}
	return fs
}

// divergentStores is for several control planes without a record that chooses one.
func divergentStores(v View) []Finding {
	var files, kv []string
	for _, n := range v.Nodes {
		s := v.servingOf(n)
		if !n.Online {
			continue
		}
		if s.Backend == core.BackendSQLite || s.File != "" {
			files = append(files, n.Name)
		}
		if s.Backend == core.BackendKV {
			kv = append(kv, n.Name)
		}
	}
	switch {
	case len(files) > 1:
		return []Finding{{
			Degraded, "authority",
			fmt.Sprintf("%s each have a SQLite file of their own, and no record says which is the control plane: their data diverges.", join(files)),
			fmt.Sprintf("decide which file is right; of %s, stop unibusd on every other node, move its file away there, and start it again", join(files)),
		}}
	case len(files) > 0 && len(kv) > 0:
		return []Finding{{
			Degraded, "authority",
			fmt.Sprintf("%s has a SQLite file and %s %s the buckets, and no record says which is the control plane: their data diverges.", files[0], join(kv), plural(len(kv), "serves", "serve")),
			"decide which is right: migrate the file with " + v.migrateCommand(0) + ", or stop unibusd on " + files[0] + ", move the file away, and start it again",
		}}
	}
	return nil
}

// journals compares every node's journal with the record. While authority moves they may differ for a moment.
func journals(v View) []Finding {
	if v.isSwitching() || v.Moving == "preflight" || v.noRecord() {
		return nil
	}
	var wrong []string
	for _, n := range v.Nodes {
		if n.Online && n.Info != nil && (n.Info.Journal == nil || *n.Info.Journal != *v.Authority) {
			wrong = append(wrong, n.Name)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return []Finding{{
		Degraded, "authority",
		fmt.Sprintf("The journal of %s does not hold the authority of the record (%s): without a majority %s would not know which store to serve.",
			join(wrong), authorityText(*v.Authority), plural(len(wrong), "it", "they")),
		"wait a few seconds; if this stays, restart unibusd on " + join(wrong),
	}}
}

func authorityText(a core.Authority) string {
	if a.Backend == core.BackendSQLite {
		return fmt.Sprintf("sqlite on %s, generation %d", a.Node, a.Generation)
	}
	return fmt.Sprintf("%s, generation %d", a.Backend, a.Generation)
}
