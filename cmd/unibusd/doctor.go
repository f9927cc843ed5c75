package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/admin"
	"unibus/core/doctor"
)

// exitUnchecked says that nothing was found wrong, and that not everything could be checked.
const exitUnchecked = 4

func doctorCommand() *cobra.Command {
	var n network
	return n.command("doctor", "Check the control plane, and change nothing: exit 0 ok, 1 something is wrong, 4 not everything could be checked", nil,
		func(ctx context.Context, c *cobra.Command, cl *admin.Client, _ []string) error {
			r, err := cl.Doctor(ctx, admin.DoctorRequest{})
			if err != nil {
				return err
			}
			r.Checks = append(r.Checks, auditCheck(ctx, cl))
			if err := n.print(c, r, func() { doctorText(c, r) }); err != nil {
				return err
			}
			switch r.Worst() {
			case doctor.Wrong:
				return cli.Coded{Code: 1, Err: cli.Silent{Err: errors.New("something is wrong")}}
			case doctor.Unknown:
				return cli.Coded{Code: exitUnchecked, Err: cli.Silent{Err: errors.New("not everything could be checked")}}
			}
			return nil
		})
}

// auditCheck verifies the chain of the audit with the key that the cluster proved.
func auditCheck(ctx context.Context, cl *admin.Client) doctor.Check {
	const name = "audit"
	r, err := verifyStream(ctx, cl)
	switch {
	case err != nil:
		return doctor.Check{Name: name, State: doctor.Unknown, Text: "the audit could not be checked: " + core.AsError(err).Text, Next: "try again: unibusd audit verify"}
	case len(r.Faults) > 0:
		return doctor.Check{
			Name: name, State: doctor.Wrong, Text: fmt.Sprintf("the audit has %s: %s", counted(len(r.Faults), "fault", "faults"), r.Faults[0]),
			Means: "a record was changed, removed or forged", Next: "change nothing, and compare the copy of each node: unibusd audit verify --file audit.jsonl",
		}
	}
	return doctor.Check{Name: name, State: doctor.OK, Text: fmt.Sprintf("%s in one chain, %s", counted(r.Records, "record", "records"), counted(r.Checkpoints, "checkpoint", "checkpoints"))}
}

func doctorText(c *cobra.Command, r doctor.Report) {
	for _, k := range r.Checks {
		c.Printf("%-14s %s\n", k.State, k.Name)
		c.Printf("    %s\n", k.Text)
		for _, f := range k.Faults {
			c.Printf("    %s\n", faultLine(f))
		}
		if k.More > 0 {
			c.Printf("    and %d more\n", k.More)
		}
		if k.Means != "" {
			c.Printf("    Meaning: %s.\n", k.Means)
		}
		if k.Next != "" {
			c.Printf("    Do: %s\n", k.Next)
		}
	}
	c.Println(map[doctor.State]string{
		doctor.OK: "\nNothing is wrong.", doctor.Wrong: "\nSomething is wrong. Nothing was changed.", doctor.Unknown: "\nNothing wrong was found, and not everything could be checked.",
	}[r.Worst()])
}

func faultLine(f doctor.Fault) string {
	key := f.Bucket + " " + core.VisibleText(f.Key)
	if f.Node == "" {
		return key + ": " + f.Text
	}
	return f.Node + ": " + key + ": " + f.Text
}
