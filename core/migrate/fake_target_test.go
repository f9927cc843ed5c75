package migrate

import (
	"context"
	"maps"
	"slices"

	"unibus/core"
)

func (w *world) wrote(t core.Table, key string) {
	w.last++
	w.seqs[t][key] = w.last
}

// fakePast is a fakeTarget with a history, as the real one has it.
type fakePast struct{ fakeTarget }

func (f fakePast) Mark(_ context.Context, t core.Table) (sequence uint64, kept int, err error) {
	err = f.op("mark", func() error { sequence, kept = f.last, len(f.seqs[t])+f.mechanism; return nil })
	return sequence, kept, err
}

func (f fakePast) ReplicaSince(_ context.Context, t core.Table, node string, after uint64) (rows []core.Row, mechanism, older int, err error) {
	err = f.op("since", func() error {
		if after > f.last {
			return core.Errorf(core.KindConflict, "the table was made anew")
		}
		held := f.target
		if other, ok := f.flipped[node][t]; ok {
			held = other
		}
		for _, k := range slices.Sorted(maps.Keys(f.seqs[t])) {
			_, there := held[t][k]
			switch _, wanted := f.target[t][k]; {
			case wanted && !there: // the replica lost it
			case f.seqs[t][k] > after:
				rows = append(rows, core.Row{Table: t, Key: k, Value: held[t][k]})
			default:
				older++
			}
		}
		mechanism = f.mechanism
		return nil
	})
	return rows, mechanism, older, err
}
