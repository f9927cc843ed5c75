package metrics

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"unibus/core"
	"unibus/core/cluster"
)

// Sample is a node and its cluster at one moment.
type Sample struct {
	View     cluster.View
	Judgment cluster.Judgment
	Self     cluster.Info      // the node's own
	Admitted map[string]uint64 // connections since the start, by kind of identity
	Denied   map[string]uint64 // by reason
	Traffic  Traffic

	OpenIncidents int // that this node sees
}

// Traffic is what the embedded server has received and sent since the start.
type Traffic struct {
	ReceivedMessages, SentMessages int64
	ReceivedBytes, SentBytes       int64
	SlowConsumers                  int64
}

// collector turns one Sample into metrics. It describes none ahead: which there are
// depends on the nodes and buckets that there are.
type collector struct {
	take func(context.Context) Sample
}

func (collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), sampleTimeout)
	defer cancel()
	s, w := c.take(ctx), writer{ch, map[string]bool{}}
	w.verdict(s.Judgment)
	w.gauge("incidents_open", "Incidents that this node sees and that are not over.", float64(s.OpenIncidents))
	w.self(s)
	w.groups(s.View)
	w.nodes(s.View)
	w.control(s.View)
	w.backups(s.View)
	w.files(s.Self)
	w.traffic(s)
}

type writer struct {
	ch   chan<- prometheus.Metric
	seen map[string]bool // by name and labels
}

// put writes one metric; labels are names and values by turns. Names of servers come from
// outside: two that are the same make one series, and bytes that are not UTF-8 are
// replaced.
func (w writer) put(kind prometheus.ValueType, name, help string, value float64, labels ...string) {
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, strings.ToValidUTF8(labels[i+1], "\uFFFD"))
	}
	series := name + "\xff" + strings.Join(values, "\xff")
	if w.seen[series] {
		return
	}
	w.seen[series] = true
	w.ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("unibus_"+name, help, names, nil), kind, value, values...)
}

func (w writer) gauge(name, help string, value float64, labels ...string) {
	w.put(prometheus.GaugeValue, name, help, value, labels...)
}

func (w writer) counter(name, help string, value float64, labels ...string) {
	w.put(prometheus.CounterValue, name, help, value, labels...)
}

func (w writer) flag(name, help string, is bool, labels ...string) {
	value := 0.0
	if is {
		value = 1
	}
	w.gauge(name, help, value, labels...)
}

// verdict has no text of a finding: texts change all the time, and each would be a series of its own.
func (w writer) verdict(j cluster.Judgment) {
	levels := map[cluster.Level]float64{cluster.Healthy: 0, cluster.Degraded: 1, cluster.Critical: 2}
	w.gauge("verdict", "This node's view of the cluster: 0 healthy, 1 degraded, 2 critical.", levels[j.Verdict])
	type finding struct {
		level cluster.Level
		about string
	}
	count := map[finding]int{}
	for _, f := range j.Findings {
		count[finding{f.Level, f.About}]++
	}
	for f, n := range count {
		w.gauge("findings", "Findings of status, by level and by what they are about.", float64(n), "level", string(f.level), "about", f.about)
	}
}

func (w writer) self(s Sample) {
	w.gauge("build_info", "Always 1; the labels name the node and its version.", 1, "cluster", s.View.Cluster, "node", s.Self.Name, "version", s.Self.Version)
	w.gauge("start_time_seconds", "When this run of the node began, in Unix time.", seconds(s.Self.Started))
	for _, b := range []core.Backend{core.BackendSQLite, core.BackendKV, core.BackendNone} {
		w.flag("serving", "1 for the control plane that this node serves: sqlite, kv or none.", s.Self.Serving.Backend == b, "backend", string(b))
	}
	if s.Self.ProvenMS >= 0 {
		w.gauge("admission_proof_age_seconds", "Age of the proof of a majority on which admission relies. Absent with SQLite, and while there is none.", float64(s.Self.ProvenMS)/1000)
	}
	if s.Self.Sessions != nil {
		w.gauge("sessions", "Connections of users, and of clients without an identity, at this node.", float64(*s.Self.Sessions))
	}
}

func (w writer) groups(v cluster.View) {
	if v.Clustered {
		w.flag("meta_leader", "1 where the meta group has one leader.", v.Meta.Leader != "" && len(v.Meta.Leaders) <= 1)
		w.gauge("meta_peers", "Members of the meta group.", float64(v.Meta.Size))
		w.gauge("meta_peers_online", "Members of the meta group that answer.", float64(v.Meta.Online))
		w.gauge("meta_quorum", "Members that the meta group needs.", float64(v.Meta.Needed))
	}
	for _, b := range v.AllBuckets() {
		w.flag("bucket_leader", "1 where the bucket's group has a leader.", b.Leader != "", "bucket", b.Name)
		w.gauge("bucket_replicas_wanted", "Replicas that the bucket is to have.", float64(b.Wanted), "bucket", b.Name)
		w.gauge("bucket_rows", "Messages in the bucket's stream.", float64(b.Keys), "bucket", b.Name)
		w.gauge("bucket_bytes", "Bytes of the bucket's stream.", float64(b.Bytes), "bucket", b.Name)
		w.counter("bucket_writes_total", "The newest sequence of the bucket's stream.", float64(b.LastSeq), "bucket", b.Name)
		for _, r := range b.Replicas {
			w.flag("bucket_replica_current", "1 where the replica is online and has what its leader has.", r.State == cluster.ReplicaCurrent, "bucket", b.Name, "node", r.Node)
			w.gauge("bucket_replica_lag", "Operations that the replica is behind its leader.", float64(r.Lag), "bucket", b.Name, "node", r.Node)
		}
	}
}

func (w writer) nodes(v cluster.View) {
	w.gauge("nodes_expected", "Nodes that the configuration names.", float64(v.Expected))
	for _, n := range v.Nodes {
		w.flag("node_up", "1 where the node answers the cluster.", n.Online, "node", n.Name)
	}
	for _, m := range v.Maintenance {
		w.gauge("node_maintenance", "1 for a node that an admin has drained.", 1, "node", m.Node)
	}
}

func (w writer) control(v cluster.View) {
	w.flag("migration_running", "1 while a migration or a rollback is under way.", v.Moving != "")
	if v.Counts == nil {
		return
	}
	w.gauge("users", "Users in the control plane, revoked ones included.", float64(v.Counts.Users))
	w.gauge("rooms", "Rooms in the control plane.", float64(v.Counts.Rooms))
	w.gauge("members", "Memberships and invitations in the control plane.", float64(v.Counts.Members))
	w.gauge("counted_time_seconds", "When users, rooms and members were counted, in Unix time.", seconds(v.CountsAt))
}

// backups are there where a node has a schedule, and this one knows the record.
func (w writer) backups(v cluster.View) {
	every := v.BackupInterval()
	if every == 0 || v.Backups == nil || v.Backups.Begun == 0 {
		return
	}
	w.gauge("backup_interval_seconds", "Time between two scheduled backups.", every.Seconds())
	w.gauge("backup_age_seconds", "Age of the rows of the latest backup that was rehearsed. Before the first one: the time since nodes have a schedule.", v.Backups.Age(time.Now()).Seconds())
	failures := 0
	if f := v.Backups.Failure; f != nil {
		failures = f.Count
	}
	w.gauge("backup_failures", "Tries since the latest backup that gave none.", float64(failures))
}

func (w writer) files(i cluster.Info) {
	if i.DiskComparison == nil {
		return
	}
	for _, c := range i.DiskComparison.Certificates {
		labels := []string{"use", string(c.Use), "file", c.File}
		w.gauge("certificate_not_before_seconds", "Begin of a certificate in use, in Unix time.", seconds(c.From), labels...)
		w.gauge("certificate_not_after_seconds", "End of a certificate in use, in Unix time.", seconds(c.Until), labels...)
		w.flag("certificate_fault", "1 where the file has another certificate than the one in use, and it cannot be used.", c.Fault != "", labels...)
	}
	for _, d := range i.DiskComparison.Disks {
		w.gauge("disk_free_bytes", "Bytes that the node may still write.", float64(d.Free), "path", d.Path)
		w.gauge("disk_total_bytes", "Those, and the space in use.", float64(d.Total), "path", d.Path)
	}
}

func (w writer) traffic(s Sample) {
	for kind, n := range s.Admitted {
		w.counter("admissions_total", "Connections that were admitted, by kind of identity.", float64(n), "kind", kind)
	}
	for reason, n := range s.Denied {
		w.counter("denials_total", "Connections that were not admitted, by reason.", float64(n), "reason", reason)
	}
	const messages, bytes = "Messages of all connections of this node's server, routes included.", "Bytes of all connections of this node's server, routes included."
	w.counter("messages_total", messages, float64(s.Traffic.ReceivedMessages), "direction", "received")
	w.counter("messages_total", messages, float64(s.Traffic.SentMessages), "direction", "sent")
	w.counter("message_bytes_total", bytes, float64(s.Traffic.ReceivedBytes), "direction", "received")
	w.counter("message_bytes_total", bytes, float64(s.Traffic.SentBytes), "direction", "sent")
	w.counter("slow_consumers_total", "Connections that were ended because they did not read.", float64(s.Traffic.SlowConsumers))
}

func seconds(at core.Millis) float64 { return float64(at) / float64(time.Second/time.Millisecond) }
