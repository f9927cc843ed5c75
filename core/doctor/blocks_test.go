package doctor

import (
	"context"
	"strings"
	"testing"

	"unibus/core"
)

// fakeBlocks has a report of each node, of every table alike.
type fakeBlocks struct {
	fakeReplicas
	reports map[string]BlockReport
}

func (f fakeBlocks) ReadBlocks(_ context.Context, _ core.Table, node string) (BlockReport, error) {
	return f.reports[node], f.faults[node]
}

// TestDamageOnADiskIsNamed: by node and bucket. A node that cannot say leaves the check open,
// unless another has damage.
func TestDamageOnADiskIsNamed(t *testing.T) {
	t.Parallel()
	damaged := BlockReport{Records: 8, Damaged: []Fault{{Bucket: "UNIBUS_users", Key: "UANN", Text: "x"}}}
	silent := map[string]error{"n3": core.Errorf(core.KindUnavailable, "n3 does not answer")}
	for name, test := range map[string]struct {
		n2     BlockReport
		faults map[string]error
		state  State
		text   string
	}{
		"nothing":         {BlockReport{Records: 9}, nil, OK, "9 on n1, 9 on n2, 9 on n3"},
		"one record":      {damaged, nil, Wrong, "the disk of n2 holds 1 record of UNIBUS_users that is not what was written"},
		"many":            {BlockReport{Damaged: damaged.Damaged, More: 4}, nil, Wrong, "5 records of UNIBUS_users that are not"},
		"and one silent":  {damaged, silent, Wrong, "the disk of n2 holds 1 record"},
		"one silent only": {BlockReport{Records: 9}, silent, Unknown, "n3 does not answer"},
		"no bucket":       {BlockReport{}, map[string]error{"nodes": core.Errorf(core.KindNotFound, "none")}, Skipped, "no bucket"},
	} {
		rows := map[string]map[string]string{"n1": nil, "n2": nil, "n3": nil}
		f := fakeBlocks{fakeReplicas{rows, test.faults}, map[string]BlockReport{"n1": {Records: 9}, "n2": test.n2, "n3": {Records: 9}}}
		c := CheckBlocks(t.Context(), &f)[0]
		if c.State != test.state || !strings.Contains(c.Text, test.text) {
			t.Errorf("%s: %s %q", name, c.State, c.Text)
		}
		if c.State == Wrong && (c.Faults[0].Node != "n2" || c.Faults[0].Bucket != "UNIBUS_users" || c.Means == "" || !strings.Contains(c.Next, "n2")) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
