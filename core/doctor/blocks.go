package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"unibus/core"
)

// BlockReport is what a node found when it read the blocks of a table from its disk, beside its
// server, which answers from memory while it has a block there.
type BlockReport struct {
	Records int     // that are as they were written
	Damaged []Fault // without the node
	More    int     // that are not listed
	Missing int     // how many of the damaged are blocks that are not there
}

// Blocks has nodes read their disks.
type Blocks interface {
	// Nodes names the nodes that hold a replica. KindNotFound if there is no bucket.
	Nodes(ctx context.Context, t core.Table) ([]string, error)
	// ReadBlocks has one node read the blocks of a table.
	ReadBlocks(ctx context.Context, t core.Table, node string) (BlockReport, error)
}

// CheckBlocks has every node read its disk, and checks each record by the checksum that was
// written beside it: one check for each table.
func CheckBlocks(ctx context.Context, from Blocks) []Check {
	tables := core.Tables()
	out := make([]Check, len(tables))
	var all sync.WaitGroup
	for i, t := range tables {
		all.Go(func() { out[i] = checkBlocks(ctx, from, t) })
	}
	all.Wait()
	return out
}

func checkBlocks(ctx context.Context, from Blocks, t core.Table) Check {
	c := Check{Name: "disk." + t.Bucket(), State: OK}
	nodes, err := from.Nodes(ctx, t)
	switch {
	case core.KindOf(err) == core.KindNotFound:
		return Check{Name: c.Name, State: Skipped, Text: "there is no bucket " + t.Bucket()}
	case err != nil:
		return unknown(c.Name, err)
	}
	reports, errs := make([]BlockReport, len(nodes)), make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { reports[i], errs[i] = from.ReadBlocks(ctx, t, n) })
	}
	all.Wait()
	var wrong, counts []string
	missing := 0
	for i, n := range nodes {
		for _, f := range reports[i].Damaged {
			f.Node = n
			c.add(f)
		}
		c.More += reports[i].More
		missing += reports[i].Missing
		counts = append(counts, fmt.Sprintf("%d on %s", reports[i].Records, n))
		if len(reports[i].Damaged) > 0 {
			wrong = append(wrong, n)
		}
	}
	failed := slices.IndexFunc(errs, func(err error) bool { return err != nil })
	switch {
	case len(wrong) > 0:
		names := strings.Join(wrong, ", ")
		c.Text = "the disk of " + names + " " + core.DiskFaultText(t.Bucket(), c.count()-missing, missing)
		c.Means = fmt.Sprintf("users notice nothing while unibusd on %s has these records in memory. Once it reads them again it leaves rows out", names)
		c.Next = core.TakeReplicasAgain(wrong[0])
	case failed >= 0:
		return unknown(c.Name, errs[failed])
	default:
		c.Text = "every record on the disks is what was written: " + strings.Join(counts, ", ")
	}
	return c
}
