package tuitest

import (
	"time"

	"unibus/core"
	"unibus/core/cluster"
)

func sampleEvents() []cluster.Event {
	return []cluster.Event{
		{Seq: 1, At: ago(200 * time.Minute), Level: cluster.Note, About: "n1", Text: "n1 started"},
		{Seq: 2, At: ago(192 * time.Minute), Level: cluster.Note, About: "meta", Text: "n1 leads the meta group"},
		{Seq: 3, At: ago(26 * time.Minute), Level: cluster.Note, About: "ana", Text: "revoked UBX4…7QK, 2 sessions ended in 9 ms"},
		{Seq: 4, At: ago(33 * time.Second), Level: cluster.Note, About: "UNIBUS_rooms_by_member", Text: "n3 leads rooms_by_member, was n2"},
	}
}

// sampleIncidents are one that is over.
func sampleIncidents() []cluster.Incident {
	begin := ago(92 * time.Minute)
	line := func(after time.Duration, level cluster.Level, about, text string) cluster.Event {
		return cluster.Event{At: core.MillisOf(begin.Time().Add(after)), Level: level, About: about, Text: text}
	}
	return []cluster.Incident{{
		ID: "1", Subjects: []string{"node.n2"}, Lost: []string{"n2"}, Level: cluster.Degraded, Cause: "n2 does not answer.",
		Begin: begin, End: core.MillisOf(begin.Time().Add(7 * time.Second)), Times: 1, Replicas: 8, Elections: 2,
		Lines: []cluster.Event{
			line(0, cluster.Degraded, "node.n2", "n2 does not answer"), line(time.Second, cluster.Note, "bucket.UNIBUS_users", "n1 leads users, was n2"),
			line(1200*time.Millisecond, cluster.Note, "bucket.UNIBUS_rooms", "n3 leads rooms, was n2"), line(7*time.Second, cluster.Note, "node.n2", "n2 answers again"),
		},
	}}
}

// lose begins an incident, or has a node more in the one that began with another.
func lose(state *ClusterState, name string, begin core.Millis) {
	line := cluster.Event{At: begin, Level: cluster.Degraded, About: "node." + name, Text: name + " does not answer"}
	if last := len(state.Incidents) - 1; last >= 0 && state.Incidents[last].IsOpen() {
		i := state.Incidents[last].Clone()
		i.Lost, i.Subjects, i.Lines, i.Replicas = append(i.Lost, name), append(i.Subjects, line.About), append(i.Lines, line), i.Replicas+5
		i.Level, i.Cause = cluster.Critical, "n2 and n3 do not answer."
		state.Incidents = append(state.Incidents[:last:last], i)
		return
	}
	state.Incidents = append(state.Incidents[:len(state.Incidents):len(state.Incidents)], cluster.Incident{
		ID: "2", Subjects: []string{line.About}, Lost: []string{name}, Level: cluster.Degraded, Cause: name + " does not answer.",
		Begin: begin, Times: 1, Replicas: 5, Elections: 1, Lines: []cluster.Event{line},
	})
}
