package main

import (
	"cmp"
	"encoding/csv"
	"io"
	"iter"
	"strconv"

	"unibus/core"
	"unibus/core/admin"
)

// exportRooms prints rooms as CSV, the head with the first page: a failed command must not pass
// for a cluster without rooms.
func exportRooms(out io.Writer, pages iter.Seq2[admin.RoomPage, error]) error {
	table := csv.NewWriter(out)
	begun := false
	for p, err := range pages {
		if err != nil {
			return err
		}
		if !begun {
			begun = true
			_ = table.Write([]string{"room", "name", "owner", "encrypted", "state", "epoch", "members", "keys", "key_since", "created"}) // Flush says what failed
		}
		for _, r := range p.Rooms {
			_ = table.Write(roomCells(r))
		}
		table.Flush()
		if err := table.Error(); err != nil {
			return err
		}
	}
	return nil
}

func roomCells(r admin.RoomSummary) []string {
	name, since := "", core.Millis(0)
	if r.Name != nil {
		name = *r.Name
	}
	if r.Keys != nil {
		since = r.Keys.Since
	}
	cells := []string{
		string(r.ID), name, string(r.Owner), strconv.FormatBool(r.Encrypted), cmp.Or(string(r.State), "active"), strconv.FormatUint(uint64(r.Epoch), 10),
		strconv.Itoa(r.Members), r.Keys.Label(), csvMoment(since), csvMoment(r.Created),
	}
	for i, cell := range cells {
		cells[i] = csvCell(cell)
	}
	return cells
}
