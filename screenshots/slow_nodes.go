package main

import (
	"context"
	"syscall"
	"time"

	"unibus/core/admin"
	"unibus/core/demo"
	"unibus/core/migrate"
)

// nodeThrottle lets two of the three nodes run only part of the time, as on
// overloaded machines, and pauses them for a moment once the cutover has started.
// States that last a twentieth of a second become visible.
type nodeThrottle struct {
	demo   *demo.Demo
	cancel context.CancelFunc
	done   chan struct{}
}

const (
	pausedFor    = 150 * time.Millisecond
	runningFor   = 30 * time.Millisecond
	cutoverPause = 2 * time.Second // less than what makes others take a node for dead
)

func (s *nodeThrottle) start(ctx context.Context) error {
	desc := s.demo.Description()
	source, err := desc.Node("n1")
	if err != nil {
		return err
	}
	cl, err := demo.NewClient(desc, desc.Identities.Admin, source.URL)
	if err != nil {
		return err
	}
	if err := cl.Open(ctx); err != nil {
		return err
	}
	var pids []int
	for _, n := range desc.Nodes {
		if n.Name != source.Name {
			pids = append(pids, n.PID)
		}
	}
	ctx, s.cancel = context.WithCancel(ctx)
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		defer cl.Close()
		seen := make(chan struct{})
		go watchCutover(ctx, cl, seen)
		pauseProcesses(ctx, pids, seen)
	}()
	return nil
}

// pauseProcesses stops and continues processes until ctx ends; once seen is closed
// it pauses them for longer.
func pauseProcesses(ctx context.Context, pids []int, seen <-chan struct{}) {
	defer signalAll(pids, syscall.SIGCONT)
	for ctx.Err() == nil {
		signalAll(pids, syscall.SIGSTOP)
		waitOrSeen(ctx, pausedFor, nil)
		signalAll(pids, syscall.SIGCONT)
		if waitOrSeen(ctx, runningFor, seen) {
			signalAll(pids, syscall.SIGSTOP)
			waitOrSeen(ctx, cutoverPause, nil)
			return
		}
	}
}

// watchCutover closes seen when the migration is in its cutover.
func watchCutover(ctx context.Context, cl *admin.Client, seen chan<- struct{}) {
	for ctx.Err() == nil {
		if st, err := cl.Migration(ctx); err == nil && st.State == migrate.StateCutover {
			close(seen)
			return
		}
		waitOrSeen(ctx, 2*time.Millisecond, nil)
	}
}

// waitOrSeen is true if seen was closed.
func waitOrSeen(ctx context.Context, d time.Duration, seen <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-seen:
		return true
	}
	return false
}

func (s *nodeThrottle) stop(context.Context) error {
	s.cancel()
	<-s.done
	return nil
}

func signalAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // one that has ended needs none
	}
}
