package cluster

import "slices"

// diskComparison notes files that were removed or replaced under a node between two Views, and
// those that are in their place again.
func (d *diff) diskComparison(old, next View) {
	for _, i := range next.infos() {
		was, _ := old.node(i.Name)
		if i.DiskComparison == nil || was.Info == nil || was.Info.DiskComparison == nil {
			continue
		}
		before, now := was.Info.DiskComparison.Files, i.DiskComparison.Files
		for _, f := range now {
			if !slices.Contains(before, f) {
				finding := misplacedFile(next, i, f)
				d.add(finding.Level, i.Name, "%s", finding.Text)
			}
		}
		for _, f := range before {
			if !slices.ContainsFunc(now, func(n MisplacedFile) bool { return n.Path == f.Path }) {
				d.add(Healthy, i.Name, "%s is in order again", f.Path)
			}
		}
	}
}
