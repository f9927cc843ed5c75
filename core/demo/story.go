package demo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/cluster"
	"unibus/core/migrate"
)

// Admin is what the story needs of the control plane; the client of core/admin
// implements it.
type Admin interface {
	Status(ctx context.Context) (admin.Status, error)
	Migration(ctx context.Context) (migrate.Status, error)
	UserPage(ctx context.Context, r core.UserPageRequest) (core.UserPage, error)
	RoomPage(ctx context.Context, r core.RoomPageRequest) (admin.RoomPage, error)
	MigrateStart(ctx context.Context, node string, o migrate.Options) (migrate.Status, error)
	MigrateCutover(ctx context.Context, node string) (migrate.Status, error)
}

// NodeControl stops and starts nodes; a Demo implements it.
type NodeControl interface {
	Stop(ctx context.Context, node string) error
	Start(ctx context.Context, node string) error
}

// PlayConfig is what Play needs.
type PlayConfig struct {
	Admin        Admin
	Nodes        NodeControl
	Demo         Description
	Out          io.Writer
	StepTimeout  time.Duration // how long one step may take; 0: 40 s
	PollInterval time.Duration // how often the cluster is looked at; 0: 200 ms
}

// storyTimeout bounds the whole story.
const storyTimeout = 115 * time.Second

// story is one run of the script.
type story struct {
	cfg      PlayConfig
	began    time.Time
	source   string // the node that has the SQLite file
	replicas int
	before   contents
	pids     map[string]int // of the nodes at the beginning
}

// contents is what must never be lost.
type contents struct {
	users []string // id and status
	rooms []string // id and epoch
}

// Play shows what unibus does, on a demo that has just started. It shows the
// nodes, migrates the control plane from SQLite to replicated KV, stops a node,
// proves that nothing is lost, and starts the node again. It returns nil if
// everything was as expected, otherwise what was not. It ends within two minutes.
func Play(ctx context.Context, cfg PlayConfig) error {
	if cfg.StepTimeout == 0 {
		cfg.StepTimeout = 40 * time.Second
	}
	if cfg.PollInterval == 0 {
		cfg.PollInterval = 200 * time.Millisecond
	}
	if cfg.Demo.LegacyDB == "" || len(cfg.Demo.Nodes) < 3 {
		return core.Errorf(core.KindInvalid, "the story needs three nodes, the first with a SQLite file").
			WithNext("run `unibusd demo --play` with --nodes 3")
	}
	ctx, cancel := context.WithTimeout(ctx, storyTimeout)
	defer cancel()
	s := &story{cfg: cfg, began: time.Now(), source: cfg.Demo.Nodes[0].Name, replicas: min(3, len(cfg.Demo.Nodes))}
	for _, step := range []func(context.Context) error{s.showCluster, s.migrate, s.showParity, s.cutOver, s.stopNode, s.restartNode} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.printHeading("Done: one SQLite file became a replicated control plane, a node came and went, and nothing was lost.")
	return nil
}

// showCluster shows the cluster before the migration.
func (s *story) showCluster(ctx context.Context) error {
	s.printHeading("The cluster")
	st, err := s.awaitStatus(ctx, "every node to be online with a meta leader", func(st admin.Status) bool {
		return st.Meta.Leader != "" && countOnline(st) == len(s.cfg.Demo.Nodes)
	})
	if err != nil {
		return err
	}
	s.pids = nodePIDs(st)
	for _, n := range st.Nodes {
		s.print("%s", nodeLine(st, n))
	}
	s.print("meta group: %s leads, %d of %d online, %d needed", st.Meta.Leader, st.Meta.Online, st.Meta.Size, st.Meta.Needed)
	s.printBuckets(st)
	if s.before, err = s.contents(ctx); err != nil {
		return err
	}
	return s.printContents("from " + s.cfg.Demo.LegacyDB)
}

// printBuckets shows the five buckets, or why there are none.
func (s *story) printBuckets(st admin.Status) {
	if len(st.Buckets) == 0 {
		s.print("buckets: none yet, the control plane is %s's SQLite file", s.source)
	}
	for _, b := range st.Buckets {
		s.print("bucket %s", bucketLine(b))
	}
}

// stopNode stops a node and proves that the others continue with everything.
func (s *story) stopNode(ctx context.Context) error {
	victim := s.cfg.Demo.Nodes[len(s.cfg.Demo.Nodes)-1].Name
	s.printHeading("Stopping " + victim)
	if err := s.cfg.Nodes.Stop(ctx, victim); err != nil {
		return err
	}
	st, err := s.awaitStatus(ctx, victim+" to be missing and the others to go on", func(st admin.Status) bool {
		return slices.Equal(offlineNodes(st), []string{victim}) && st.Meta.Leader != "" && st.Verdict == cluster.Degraded
	})
	if err != nil {
		return err
	}
	s.print("%s: %s", st.Verdict, st.Sentence)
	s.print("missing: %s; %d of %d nodes are online and %d suffice", victim, countOnline(st), len(st.Nodes), st.Meta.Needed)
	if countOnline(st) < st.Meta.Needed {
		return core.Errorf(core.KindFailed, "%d nodes are online and %d are needed", countOnline(st), st.Meta.Needed)
	}
	return s.requireUnchanged(ctx, "without "+victim)
}

// restartNode starts the node again and waits until every replica is current.
func (s *story) restartNode(ctx context.Context) error {
	victim := s.cfg.Demo.Nodes[len(s.cfg.Demo.Nodes)-1].Name
	s.printHeading("Starting " + victim + " again")
	if err := s.cfg.Nodes.Start(ctx, victim); err != nil {
		return err
	}
	st, err := s.awaitStatus(ctx, victim+" to be back with every replica current", func(st admin.Status) bool {
		return countOnline(st) == len(s.cfg.Demo.Nodes) && s.isReplicated(st) && st.Verdict == cluster.Healthy
	})
	if err != nil {
		return err
	}
	s.print("%s: %s", st.Verdict, st.Sentence)
	return s.requireUnchanged(ctx, "with "+victim+" back")
}

// contents reads every user and room.
func (s *story) contents(ctx context.Context) (contents, error) {
	var c contents
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StepTimeout)
	defer cancel()
	err := s.poll(ctx, func() (bool, error) {
		users, err := admin.AllUsers(ctx, s.cfg.Admin.UserPage)
		if err != nil {
			return false, err
		}
		rooms, err := admin.AllRooms(ctx, s.cfg.Admin.RoomPage)
		if err != nil {
			return false, err
		}
		c = contents{}
		for _, u := range users {
			c.users = append(c.users, string(u.ID)+" "+string(u.Status))
		}
		for _, r := range rooms {
			c.rooms = append(c.rooms, fmt.Sprintf("%s %d", r.ID, r.Epoch))
		}
		return true, nil
	})
	return c, waitError("users and rooms to be listed", err)
}

func (s *story) printContents(where string) error {
	revoked := 0
	for _, u := range s.before.users {
		if strings.HasSuffix(u, " "+string(core.UserRevoked)) {
			revoked++
		}
	}
	s.print("%d users (%d revoked) and %d rooms, %s", len(s.before.users), revoked, len(s.before.rooms), where)
	if len(s.before.users) == 0 {
		return core.Errorf(core.KindFailed, "the demo has no users")
	}
	return nil
}

// requireUnchanged compares the contents now with those at the beginning, entry by
// entry.
func (s *story) requireUnchanged(ctx context.Context, when string) error {
	now, err := s.contents(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(now.users, s.before.users) {
		return core.Errorf(core.KindFailed, "%s there are %d users, and they are not the %d of the beginning", when, len(now.users), len(s.before.users))
	}
	if !slices.Equal(now.rooms, s.before.rooms) {
		return core.Errorf(core.KindFailed, "%s there are %d rooms, and they are not the %d of the beginning", when, len(now.rooms), len(s.before.rooms))
	}
	return s.printContents("all there " + when)
}

// awaitStatus requests the status until it is good.
func (s *story) awaitStatus(ctx context.Context, what string, good func(admin.Status) bool) (admin.Status, error) {
	var last admin.Status
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StepTimeout)
	defer cancel()
	err := s.poll(ctx, func() (bool, error) {
		st, err := s.cfg.Admin.Status(ctx)
		if err == nil {
			last = st
		}
		return err == nil && good(st), err
	})
	if err != nil && last.Sentence != "" {
		err = core.Errorf(core.KindOf(err), "%w; last seen: %s: %s", err, last.Verdict, last.Sentence)
	}
	return last, waitError(what, err)
}

// poll repeats ask until it is done, ctx ends, or an error comes that a retry
// cannot solve.
func (s *story) poll(ctx context.Context, ask func() (done bool, err error)) error {
	tick := time.NewTicker(s.cfg.PollInterval)
	defer tick.Stop()
	for {
		done, err := ask()
		if done || err != nil && core.KindOf(err) != core.KindUnavailable {
			return err
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = core.Errorf(core.KindUnavailable, "it did not happen in time")
			}
			return err
		case <-tick.C:
		}
	}
}

// waitError adds what was awaited to an error.
func waitError(what string, err error) error {
	if err == nil {
		return nil
	}
	e := core.AsError(err)
	return core.Errorf(e.Kind, "while waiting for %s: %w", what, err).WithNext("%s", e.Next)
}

// printHeading and print write a line with the time since the beginning. An error
// of the output does not end the story.
func (s *story) printHeading(text string) {
	_, _ = fmt.Fprintf(s.cfg.Out, "\n%5.1f s  %s\n", time.Since(s.began).Seconds(), text)
}

func (s *story) print(format string, args ...any) {
	_, _ = fmt.Fprintf(s.cfg.Out, "         %s\n", fmt.Sprintf(format, args...))
}
