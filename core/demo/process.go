package demo

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"unibus/core"
)

// process is a node that this process started.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended
	err  error         // how it ended; valid after done
}

// nodeCommand prepares `unibusd serve` and appends its output to the log file.
func nodeCommand(binary, configFile, logFile string, environ []string) (*exec.Cmd, error) {
	log, err := os.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the log %s cannot be opened: %w", logFile, err)
	}
	cmd := exec.Command(binary, "serve", "--config", configFile)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = nodeEnvironment(environ)
	return cmd, nil
}

// nodeEnvironment leaves out variables that override the node's file or report to
// the wrong supervisor.
func nodeEnvironment(environ []string) []string {
	out := []string{}
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "UNIBUS_") && name != "UNIBUS_NATS_DEBUG" || name == "NOTIFY_SOCKET" {
			continue
		}
		out = append(out, e)
	}
	return out
}

// startProcess starts cmd and waits for it in the background.
func startProcess(cmd *exec.Cmd) (*process, error) {
	err := cmd.Start()
	if log, ok := cmd.Stdout.(*os.File); ok {
		_ = log.Close() // the child has its own descriptor
	}
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "%s cannot be started: %w", cmd.Path, err).
			WithNext("build it with `make build`")
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop asks the process to stop, and kills it if ctx is done first.
func (p *process) stop(ctx context.Context) {
	if !p.running() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// launcher starts processes from one thread that lives as long as the demo. The
// kernel kills a child when the thread that started it ends (prctl(2),
// PR_SET_PDEATHSIG), and the threads of Go come and go.
type launcher struct {
	work  chan func()
	ended chan struct{}
}

func newLauncher() *launcher {
	l := &launcher{work: make(chan func()), ended: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		defer close(l.ended)
		for f := range l.work {
			f()
		}
	}()
	return l
}

// start starts cmd as a child that dies with this process.
func (l *launcher) start(cmd *exec.Cmd) (p *process, err error) {
	dieWithParent(cmd)
	done := make(chan struct{})
	l.work <- func() {
		p, err = startProcess(cmd)
		close(done)
	}
	<-done
	return p, err
}

// close ends the thread, and with it every child that still runs.
func (l *launcher) close() {
	close(l.work)
	<-l.ended
}

// lastLines is the end of a log file, for the error of a node that did not start.
func lastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// awaitReady repeats ready until it succeeds, the process ends, or ctx is done.
func awaitReady(ctx context.Context, p *process, node, logFile string, ready func(context.Context) error) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return core.Errorf(core.KindFailed, "%s ended instead of serving: %s\n%s", node, exitText(p), lastLines(logFile, 5)).
				WithNext("its whole log is %s", logFile)
		case <-ctx.Done():
			return core.Errorf(core.KindUnavailable, "%s does not serve yet: %w", node, errors.Join(err, context.Cause(ctx))).
				WithNext("its log is %s", logFile)
		case <-tick.C:
		}
	}
}

func exitText(p *process) string {
	if p.err == nil {
		return "exit code 0"
	}
	return p.err.Error()
}
