package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"unibus/core"
	"unibus/core/admin"
)

func checkFormat(format string, asJSON bool) error {
	switch {
	case format != "" && format != "csv" && format != "jsonl":
		return core.Errorf(core.KindInvalid, "--format is neither csv nor jsonl").WithNext("give one of them, or leave it out")
	case format != "" && asJSON:
		return core.Errorf(core.KindInvalid, "--format and --json cannot be given together").WithNext("leave one of them out")
	}
	return nil
}

// exportAudit writes one line for each action, the newest first.
func exportAudit(ctx context.Context, out io.Writer, from auditPages, f auditFilter, limit int, format string) error {
	if format == "jsonl" {
		lines := json.NewEncoder(out)
		return eachAction(ctx, from, f, limit, func(r admin.AuditRecord) error { return lines.Encode(r) })
	}
	table := csv.NewWriter(out)
	begun := false
	begin := func() { // with the first answer: a failed export has no head
		if !begun {
			begun = true
			_ = table.Write([]string{"seq", "time", "operator", "key", "role", "node", "verb", "args", "outcome", "text", "took_ms", "late", "id"}) // Flush says what failed
		}
	}
	err := eachAction(ctx, from, f, limit, func(r admin.AuditRecord) error {
		begin()
		return table.Write(csvCells(r))
	})
	if err == nil {
		begin()
	}
	table.Flush() // after an error, too: the last line must not be a part of one
	return cmp.Or(err, table.Error())
}

func csvCells(r admin.AuditRecord) []string {
	cells := []string{
		strconv.FormatUint(r.Seq, 10), r.At.Time().UTC().Format(time.RFC3339), r.Actor(), r.Key, string(r.Role), r.Node, r.Verb, r.Args,
		r.Outcome, r.Text, strconv.FormatInt(r.TookMS, 10), strconv.FormatBool(r.Late), r.ID,
	}
	for i, cell := range cells {
		cells[i] = csvCell(cell)
	}
	return cells
}
