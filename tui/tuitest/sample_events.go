package tuitest

import (
	"time"

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
