package main

import (
	"context"
	"syscall"
	"time"

	"unibus/core/admin"
	"unibus/core/demo"
	"unibus/core/migrate"
)

// slowly has two of the three nodes run a part of the time only, as on machines
// that have too much to do, and holds them for a moment once the cutover has begun:
// what is over in a twentieth of a second can be seen then.
type slowly struct {
	d    *demo.Demo
	stop context.CancelFunc
	done chan struct{}
}

const (
	halted  = 150 * time.Millisecond
	running = 30 * time.Millisecond
	held    = 2 * time.Second // less than what makes others take a node for dead
)

func (s *slowly) begin(ctx context.Context) error {
	desc := s.d.Description()
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
	ctx, s.stop = context.WithCancel(ctx)
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		defer cl.Close()
		seen := make(chan struct{})
		go watchCutover(ctx, cl, seen)
		throttle(ctx, pids, seen)
	}()
	return nil
}

// throttle halts and continues processes until ctx ends; once seen is closed it holds them.
func throttle(ctx context.Context, pids []int, seen <-chan struct{}) {
	defer tell(pids, syscall.SIGCONT)
	for ctx.Err() == nil {
		tell(pids, syscall.SIGSTOP)
		pause(ctx, halted, nil)
		tell(pids, syscall.SIGCONT)
		if pause(ctx, running, seen) {
			tell(pids, syscall.SIGSTOP)
			pause(ctx, held, nil)
			return
		}
	}
}

// watchCutover closes seen when the move is in its cutover.
func watchCutover(ctx context.Context, cl *admin.Client, seen chan<- struct{}) {
	for ctx.Err() == nil {
		if st, err := cl.Migration(ctx); err == nil && st.State == migrate.StateCutover {
			close(seen)
			return
		}
		pause(ctx, 2*time.Millisecond, nil)
	}
}

// pause is true where seen was closed.
func pause(ctx context.Context, d time.Duration, seen <-chan struct{}) bool {
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

func (s *slowly) end(context.Context) error {
	s.stop()
	<-s.done
	return nil
}

func tell(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // one that has ended needs none
	}
}
