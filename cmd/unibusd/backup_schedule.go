package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/backup"
	"unibus/core/cluster"
)

// backupList is what `backup list --json` prints.
type backupList struct {
	Schedules []nodeSchedule         `json:"schedules"` // of the nodes that have one, by name
	Backups   []core.ScheduledBackup `json:"backups"`   // the latest first
	Running   *core.BackupLease      `json:"running"`   // null: no node makes one
	Failure   *core.BackupFailure    `json:"failure"`   // of the last try; null: it succeeded
}

type nodeSchedule struct {
	Node string `json:"node"`
	cluster.BackupSchedule
}

func backupListCommand() *cobra.Command {
	var n network
	return n.command("list", "List the scheduled backups that were rehearsed and are kept, the latest first", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		st, err := cl.Status(ctx)
		if err != nil {
			return err
		}
		list, err := listBackups(st.View)
		if err != nil {
			return err
		}
		return n.print(c, list, func() { list.print(c) })
	})
}

func listBackups(v cluster.View) (backupList, error) {
	list := backupList{Schedules: []nodeSchedule{}, Backups: []core.ScheduledBackup{}}
	for _, node := range v.Nodes {
		if node.Info != nil && node.Info.Backups != nil {
			list.Schedules = append(list.Schedules, nodeSchedule{node.Name, *node.Info.Backups})
		}
	}
	if v.Backups == nil {
		return list, core.Errorf(core.KindUnavailable, "%s has not read the record of scheduled backups yet", v.From).
			WithNext("try again in some seconds; if this stays, see unibus-tui status")
	}
	list.Backups, list.Running, list.Failure = append(list.Backups, v.Backups.Kept...), v.Backups.Lease, v.Backups.Failure
	return list, nil
}

func (l backupList) print(c *cobra.Command) {
	if len(l.Schedules) == 0 {
		c.Println("No node makes scheduled backups: none has --backup-dir.")
	}
	for _, s := range l.Schedules {
		encrypted := "not encrypted"
		if s.Encrypted {
			encrypted = "encrypted"
		}
		when := "every " + (time.Duration(s.EveryMS) * time.Millisecond).String()
		if s.At != "" {
			when = "daily at " + s.At
		}
		c.Printf("%s: %s to %s, %s; the latest %d stay.\n", s.Node, when, s.To, encrypted, s.Keep)
	}
	if l.Running != nil {
		c.Printf("%s makes one since %s.\n", l.Running.Node, moment(l.Running.Since))
	}
	if f := l.Failure; f != nil {
		c.Printf("The last try failed on %s at %s: %s\n", f.Node, moment(f.At), f.Text)
		if f.Next != "" {
			c.Println("Next: " + f.Next)
		}
	}
	if len(l.Backups) == 0 {
		return
	}
	c.Println()
	table(c, "MADE\tNODE\tROWS\tBYTES\tREHEARSED\tNAME", func(print func(string, ...any)) {
		for _, b := range l.Backups {
			print("%s\t%s\t%d\t%d\t%s\t%s", moment(b.At), b.Node, b.Rows, b.Bytes, b.Rehearsal, b.Name)
		}
	})
}

func moment(m core.Millis) string { return m.Time().UTC().Format(time.DateTime + " UTC") }

const (
	backupPoll         = 500 * time.Millisecond // how often `backup now` looks what came of it
	backupStartTimeout = 30 * time.Second       // within which a node is to have begun
)

func backupNowCommand() *cobra.Command {
	var n network
	return n.command("now", "Have the nodes make the scheduled backup at once, and wait for it", nil, func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
		asked, err := cl.BackupNow(ctx)
		if err != nil {
			return err
		}
		made, err := awaitBackup(ctx, cl, asked)
		if err != nil {
			return err
		}
		return n.print(c, made, func() {
			c.Printf("%s made %s in %s: %s, %d bytes.\n", made.Node, made.Name, made.To, counted(made.Rows, "row", "rows"), made.Bytes)
			c.Printf("Its rehearsal restored the %s and compared every row.\n", rehearsed(made.Rehearsal))
			c.Printf("The SHA-256 of the stored bytes is %s.\n", made.SHA256)
		})
	})
}

func rehearsed(r core.BackupRehearsal) string {
	if r == core.RehearsalPlain {
		return "bytes before encryption"
	}
	return string(r)
}

// awaitBackup asks for the status until a backup or a failure answers the request. A node
// that does not answer for a moment is asked again.
func awaitBackup(ctx context.Context, cl *admin.Client, asked admin.BackupRequested) (core.ScheduledBackup, error) {
	for begun := time.Now(); ; {
		st, err := cl.Status(ctx)
		if err == nil && st.Backups != nil && st.Backups.Lease != nil {
			begun = time.Now()
		}
		if err == nil {
			made, ok, err := admin.RequestedBackup(st.View, asked)
			if ok || err != nil {
				return made, err
			}
		} else if core.KindOf(err) != core.KindUnavailable {
			return core.ScheduledBackup{}, err
		}
		if time.Since(begun) > backupStartTimeout {
			return core.ScheduledBackup{}, core.Errorf(core.KindUnavailable, "no node has begun the backup: none that has a schedule serves the control plane, or all are in maintenance").
				WithNext("they begin as soon as one can; see unibusd backup list")
		}
		select {
		case <-ctx.Done():
			return core.ScheduledBackup{}, core.Errorf(core.KindUnavailable, "the nodes go on with the backup; it was not awaited").WithNext("unibusd backup list")
		case <-time.After(backupPoll):
		}
	}
}

func backupCheckCommand() *cobra.Command {
	var from, identity string
	var want backup.Expect
	var asJSON bool
	c := &cobra.Command{
		Use: "check", Short: "Read a backup and say what is in it and who signed it; no node has to run", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			if want.Signer != "" {
				if _, err := backup.ParseSigner(want.Signer); err != nil {
					return err
				}
			}
			content, err := backup.CheckFile(c.Context(), from, identity, want)
			if err != nil {
				return err
			}
			if asJSON {
				return cli.PrintJSON(c.OutOrStdout(), content)
			}
			c.Printf("%s is whole: %s.\n%s\n", from, content, signedBy(content.Signed))
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&from, "from", "", "the backup FILE, which is not changed")
	f.StringVar(&identity, "identity", "", "the FILE of an age identity that decrypts it")
	f.StringVar(&want.Signer, "signer", "", "refuse a backup that the cluster with the public KEY has not signed")
	f.StringVar(&want.SHA256, "sha256", "", "refuse a backup whose bytes do not sum up to HEX")
	f.BoolVar(&asJSON, "json", false, "print one JSON document, errors included")
	cli.Require(c, "from")
	return c
}
