package page

import (
	"cmp"
	"slices"
	"strings"

	"unibus/core/cluster"
)

// NodeExportFields are the names of what NodeExportRow returns.
func NodeExportFields() []string {
	return []string{"node", "online", "meta", "leads", "version", "started", "cpu_percent", "memory_bytes", "connections", "disk_bytes", "disk_max_bytes", "disk_free_bytes", "serves", "listens", "certificate_until"}
}

// NodeExportRow is the values of a node; those of one that is down are missing.
func NodeExportRow(rc RenderContext, key string) []any {
	i := slices.IndexFunc(rc.Snapshot.Status.Value.Nodes, func(n cluster.Node) bool { return n.Name == key })
	if i < 0 {
		return nil
	}
	n := rc.Snapshot.Status.Value.Nodes[i]
	row := []any{n.Name, n.Online, n.Meta, strings.Join(n.Leads, " "), n.Version, n.Started, nil, nil, nil, nil, nil, nil, nil, nil, nil}
	if n.Online {
		copy(row[6:], []any{n.CPU, n.Memory, n.Conns, n.Disk, n.DiskMax})
	}
	if n.Info == nil {
		return row
	}
	if d := n.Info.DiskComparison; d != nil && len(d.Disks) > 0 && n.Online {
		row[11] = slices.MinFunc(d.Disks, func(a, b cluster.Disk) int { return cmp.Compare(a.Free, b.Free) }).Free
	}
	if n.Online {
		row[12] = n.Info.Serving.Backend.Served()
	}
	row[13], row[14] = n.Info.Listen, n.Info.CertUntil
	return row
}
