package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/support"
)

// bundleEvents is how many events a bundle asks for.
const bundleEvents = 500

func supportBundleCommand() *cobra.Command {
	var n network
	var node string
	c := &cobra.Command{
		Use: "support-bundle [FILE.tar.gz]", Short: "Save status, events, configuration and log of a node for people who help, without secrets and names",
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			path, err := bundlePath(args, time.Now())
			if err != nil {
				return err
			}
			cl, err := n.Dial(c.Context(), "unibusd support-bundle")
			if err != nil {
				return err
			}
			defer cl.Close()
			return n.supportBundle(c, cl, node, path)
		},
	}
	n.flags(c)
	c.Flags().StringVar(&node, "node", "", "the NODE to ask (default: the one that is connected)")
	return c
}

// bundlePath is the file to write. Nothing is asked of a node for one that is there.
func bundlePath(args []string, now time.Time) (string, error) {
	path := "unibus-support-" + now.UTC().Format("20060102-150405") + ".tar.gz"
	switch {
	case len(args) > 1:
		return "", core.Errorf(core.KindInvalid, "unibusd support-bundle takes one file, not %d arguments", len(args)).
			WithNext("`unibusd support-bundle --help` shows the form")
	case len(args) == 1:
		path = args[0]
	}
	if !strings.HasSuffix(path, ".tar.gz") && !strings.HasSuffix(path, ".tgz") {
		return "", core.Errorf(core.KindInvalid, "%q is not the name of a bundle", path).WithNext("give a name that ends in .tar.gz")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return "", unwritableBundle(path, err)
		}
		return "", bundleExists(path)
	}
	return path, nil
}

func bundleExists(path string) error {
	return core.Errorf(core.KindExists, "%s is there already and is not written over", path).WithNext("give another name")
}

func unwritableBundle(path string, err error) error {
	return core.Errorf(core.KindFailed, "%s cannot be written: %w", path, err).WithNext("see that its directory is there, is yours and has free space")
}

func (n *network) supportBundle(c *cobra.Command, cl *admin.Client, node, path string) error {
	if node == "" {
		node = cl.Connected()
	} else if _, err := core.ParseNodeName(node); err != nil {
		return err
	}
	b := &support.Bundle{Command: version, Node: node, Made: core.MillisOf(time.Now())}
	if err := collectBundle(c.Context(), cl, b); err != nil {
		return err
	}
	size, err := writeBundle(b, path)
	if err != nil {
		return err
	}
	doc := map[string]any{"file": path, "bytes": size, "node": node, "files": b.Files(), "missing": append([]string{}, b.Absent()...)}
	return n.print(c, doc, func() {
		c.Printf("Saved %s from %s: %d bytes; only you can read it.\n", path, node, size)
		for _, m := range b.Absent() {
			c.Println("could not be had:", m)
		}
		c.Println("Seeds, passwords, messages, rows of the control plane and names of people stay out. Public keys, addresses and paths of files are in it. Read it before you send it.")
	})
}

// collectBundle asks for each part, and says in the bundle what could not be had. The report
// comes first, because the audit has to know before anything is handed out.
func collectBundle(ctx context.Context, cl *admin.Client, b *support.Bundle) error {
	report, reportErr := cl.Support(ctx, b.Node)
	if k := core.KindOf(reportErr); reportErr != nil && k != core.KindUnavailable {
		return reportErr
	}
	st, statusErr := cl.StatusOf(ctx, b.Node)
	if reportErr != nil && statusErr != nil {
		return reportErr
	}
	known := knownNames(st)
	add := func(err error, names string, put func() error) error {
		if err != nil {
			b.Missing(names, err)
			return nil
		}
		return put()
	}
	events, eventsErr := cl.EventsOf(ctx, b.Node, admin.EventsRequest{Limit: bundleEvents})
	moving, movingErr := cl.Migration(ctx)
	head, headErr := auditHead(ctx, cl)
	return errors.Join(
		add(reportErr, "node.json, log.txt", func() error { return b.AddReport(report, known) }),
		add(statusErr, "status.json, streams.json", func() error {
			streams := map[string]any{"streams": st.AllBuckets(), "lost": st.Lost, "seen": st.Streams}
			return errors.Join(b.Add("status.json", st, known), b.Add("streams.json", streams, known))
		}),
		add(eventsErr, "events.json", func() error { return b.Add("events.json", events, known) }),
		add(movingErr, "migration.json", func() error { return b.Add("migration.json", moving, known) }),
		add(headErr, "audit.json", func() error { return b.Add("audit.json", head, known) }),
	)
}

// knownNames are those of operators, which stay out, and of nodes.
func knownNames(st admin.Status) support.Known {
	known := support.Known{Operators: []string{st.Operator.Name}}
	for _, n := range st.Nodes {
		known.Nodes = append(known.Nodes, n.Name)
		if n.Info != nil && n.Info.Operators != nil {
			known.Operators = append(known.Operators, namesOf(*n.Info.Operators)...)
		}
	}
	for _, u := range st.Unknown {
		known.Nodes = append(known.Nodes, u.Name)
	}
	return known
}

func namesOf(o cluster.Operators) []string {
	var names []string
	for _, op := range slices.Concat(o.List, o.Leftover) {
		names = append(names, op.Name)
	}
	for _, op := range o.Removed {
		names = append(names, op.Name, op.By)
	}
	return names
}

// auditHead is the newest record of the audit, without what it says, and the hash of it as it is stored.
func auditHead(ctx context.Context, cl *admin.Client) (any, error) {
	page, err := cl.Audit(ctx, admin.AuditRequest{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(page.Records) == 0 {
		return map[string]any{"seq": 0}, nil
	}
	r := page.Records[0]
	head := map[string]any{"seq": r.Seq, "at": r.At, "node": r.Node, "outcome": r.Outcome}
	if raw, err := cl.AuditRaw(ctx, r.Seq); err == nil && len(raw.Records) > 0 {
		last := raw.Records[len(raw.Records)-1]
		sum := sha256.Sum256(last.Data)
		head["seq"], head["sha256"] = last.Seq, hex.EncodeToString(sum[:])
	}
	return head, nil
}

// writeBundle makes a new file that only its owner may read. After an error there is none.
func writeBundle(b *support.Bundle, path string) (int64, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return 0, bundleExists(path)
	case err != nil:
		return 0, unwritableBundle(path, err)
	}
	size, err := b.WriteTo(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, errors.Join(unwritableBundle(path, err), os.Remove(path))
	}
	return size, nil
}
