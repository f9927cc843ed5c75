package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/seal"
)

// chainCheck is what this program found in the statements of a room's members. It
// verifies each one itself: the nodes are asked for them, and not whether they are true.
type chainCheck struct {
	Nodes      []string         `json:"nodes"` // that gave the statements
	Statements int              `json:"statements"`
	Valid      bool             `json:"valid"`
	Fault      string           `json:"fault,omitempty"`
	FaultAt    *uint64          `json:"fault_at,omitempty"` // the statement
	Founder    core.UserID      `json:"founder,omitempty"`
	Number     *seal.RoomNumber `json:"safety_number,omitempty"`
	Forks      []shownFork      `json:"forks,omitempty"`
	Ghosts     []core.UserID    `json:"ghosts,omitempty"`  // members by the servers alone
	Removed    []core.UserID    `json:"removed,omitempty"` // members by the statements, whom the servers have removed
	Shown      []shownStatement `json:"shown"`             // the newest, the oldest of them first
	Omitted    int              `json:"omitted,omitempty"` // older ones
}

// shownStatement is one that is printed.
type shownStatement struct {
	admin.ChainEntry
	Hash      seal.Hash `json:"hash"`
	Verified  bool      `json:"verified"`  // signed by its signer, and allowed by all before it
	Statement string    `json:"statement"` // as it was signed, in hex: two keys in a row in base64 can look like a seed, and are redacted
}

// shownFork is two statements that follow the same one, as they were signed, in hex.
type shownFork struct {
	Known string `json:"known"`
	Shown string `json:"shown"`
}

// roomWithChain is the document of `room get --json`.
type roomWithChain struct {
	admin.RoomDetail
	Check      *chainCheck `json:"chain_check,omitempty"`
	CheckError string      `json:"chain_error,omitempty"`
}

// readChain reads and verifies the statements about a room's members; nil for a room
// whose members sign nothing. show is how many are listed.
func readChain(ctx context.Context, cl *admin.Client, d admin.RoomDetail, show int) (*chainCheck, error) {
	from := seal.MembershipSource{Room: d.Room.ID}
	out := &chainCheck{Shown: []shownStatement{}}
	for {
		page, err := cl.RoomStatements(ctx, admin.RoomStatementsRequest{ID: string(d.Room.ID), Offset: len(from.Statements)})
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out.Nodes, page.Node) {
			out.Nodes = append(out.Nodes, page.Node)
		}
		if from.Statements = append(from.Statements, page.Statements...); page.Snapshot != nil {
			from.State = page.Snapshot
		}
		if len(page.Statements) == 0 || len(from.Statements) >= page.Total {
			break
		}
	}
	if len(from.Statements) == 0 {
		return nil, nil
	}
	report := seal.InspectChain(from)
	out.Statements = len(from.Statements)
	for _, f := range report.Forks {
		out.Forks = append(out.Forks, shownFork{hex.EncodeToString(f.Known), hex.EncodeToString(f.Shown)})
	}
	out.judge(report, d)
	out.show(report, show)
	return out, nil
}

// judge takes over what the report found, and compares the members that the servers name.
func (k *chainCheck) judge(report seal.ChainReport, d admin.RoomDetail) {
	if k.Valid = report.Fault == nil; !k.Valid {
		k.Fault, k.FaultAt = core.AsError(report.Fault).Text, &report.At
	}
	if report.Chain == nil {
		return
	}
	number := report.Chain.Number()
	k.Number = &number
	k.Founder, _ = report.Chain.Founder()
	listed := map[core.UserID]bool{}
	for _, m := range d.Members {
		if listed[m.User] = true; report.Chain.Role(m.User) == "" {
			k.Ghosts = append(k.Ghosts, m.User)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(report.Chain.People())) {
		if report.Chain.Role(user) != "" && !listed[user] {
			k.Removed = append(k.Removed, user)
		}
	}
}

func (k *chainCheck) show(report seal.ChainReport, most int) {
	k.Omitted = max(0, len(report.Statements)-most)
	for _, s := range report.Statements[k.Omitted:] {
		k.Shown = append(k.Shown, shownStatement{admin.ChainEntryOf(s.Statement), s.Hash, s.Verified, hex.EncodeToString(s.Bytes())})
	}
}

// printChain prints the chain, after the room.
func printChain(c *cobra.Command, d admin.RoomDetail, k *chainCheck, err error) {
	switch {
	case err != nil:
		c.Printf("\nchain of the members: it could not be read: %s\n", core.AsError(err).Text)
		return
	case k == nil && d.Room.Encrypted:
		c.Printf("\nchain of the members: none. No member has signed who the members are: the servers name them.\n")
		return
	case k == nil:
		return
	}
	c.Printf("\nchain of the members: %s, as %s gave them, founded by %s\n", counted(k.Statements, "statement", "statements"), strings.Join(k.Nodes, ", "), cmp.Or(string(k.Founder), "an unknown user"))
	if k.Valid {
		c.Println("  it verifies: each one is signed, and allowed by all before it")
	} else {
		c.Printf("  it does not verify from statement %d on: %s\n", *k.FaultAt, k.Fault)
	}
	if k.Number != nil {
		c.Printf("  safety number after statement %d: %s\n", k.Number.Seq, k.Number.Number)
	}
	printChainPeople(c, "the servers call this user a member, and no member has signed that", k.Ghosts)
	printChainPeople(c, "the servers have removed this member, and no member has signed that", k.Removed)
	for _, f := range k.Forks {
		printFork(c, d.Room.ID, f)
	}
	printStatements(c, k)
}

func printChainPeople(c *cobra.Command, what string, people []core.UserID) {
	const most = 20
	for _, user := range people[:min(len(people), most)] {
		c.Printf("  %s: %s\n", what, user)
	}
	if n := len(people) - most; n > 0 {
		c.Printf("  %s: %d more\n", what, n)
	}
}

func printFork(c *cobra.Command, room core.RoomID, f shownFork) {
	for _, text := range []string{f.Known, f.Shown} {
		raw, _ := hex.DecodeString(text)
		if s, err := seal.VerifyStatement(room, raw); err == nil { // as both were before
			c.Printf("  fork: %s, signed by %s: %s\n", s, s.Signer, text)
		}
	}
}

func printStatements(c *cobra.Command, k *chainCheck) {
	if len(k.Shown) == 0 {
		return
	}
	c.Println()
	if k.Omitted > 0 {
		c.Printf("%s before these: --statements %d prints all\n", counted(k.Omitted, "statement", "statements"), k.Statements)
	}
	table(c, "STATEMENT\tAT\tWHAT\tROLE\tUSER\tSIGNED BY\tVERIFIES", func(print func(string, ...any)) {
		for _, s := range k.Shown {
			verifies := "no"
			if s.Verified {
				verifies = "yes"
			}
			print("%d\t%s\t%s\t%s\t%s\t%s\t%s", s.Seq, s.At.Time().Format(time.DateTime), s.What, cmp.Or(string(s.Role), "–"), s.Subject, s.Signer, verifies)
		}
	})
}
