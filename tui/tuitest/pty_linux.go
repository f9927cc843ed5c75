package tuitest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// PTY runs a program on a pseudo-terminal of the kernel, and shows its output in an emulator.
type PTY struct {
	display
	Process *os.Process
	master  *os.File
	slave   *os.File // kept open, so that the modes can be read after the program has ended
	input   *inputQueue
	reading sync.Mutex // held while the output has no reader
	ended   chan struct{}
	err     error      // valid after ended
	rawLock sync.Mutex // guards raw; Wait holds the other lock while it calls
	raw     []byte     // what the program has written first
}

// StartPTY starts cmd as the leader of a session of its own, in a terminal of w by h cells. If they are 0, the
// kernel knows no size, and the emulator has 80 by 24. Close ends it.
func StartPTY(cmd *exec.Cmd, w, h int) (*PTY, error) {
	p := &PTY{input: newInputQueue(), ended: make(chan struct{})}
	if w == 0 || h == 0 {
		p.open(80, 24)
	} else {
		p.open(w, h)
	}
	if err := p.openDevices(); err != nil {
		return nil, err
	}
	if err := p.setSize(w, h); err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p.Process = cmd.Process
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
	}()
	go p.readOutput()
	go p.forwardReplies(p.input.put)
	go p.writeInput()
	return p, nil
}

func (p *PTY) openDevices() (err error) {
	if p.master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		return err
	}
	var unlock, number int32
	if err := p.ioctl(syscall.TIOCSPTLCK, unsafe.Pointer(&unlock)); err != nil {
		return err
	}
	if err := p.ioctl(syscall.TIOCGPTN, unsafe.Pointer(&number)); err != nil {
		return err
	}
	p.slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	return err
}

// ioctl does not call Fd, which would make reads of the master block its Close.
func (p *PTY) ioctl(request uintptr, arg unsafe.Pointer) error {
	raw, err := p.master.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg))
	}); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}

func (p *PTY) setSize(w, h int) error {
	size := [4]uint16{uint16(h), uint16(w)} //nolint:gosec // sizes of tests
	return p.ioctl(syscall.TIOCSWINSZ, unsafe.Pointer(&size))
}

// Resize changes the window size.
func (p *PTY) Resize(w, h int) error {
	p.lock.Lock()
	p.width, p.height = w, h
	p.emulator.Resize(max(1, w), max(1, h))
	p.lock.Unlock()
	return p.setSize(w, h)
}

// maxRaw bounds what Raw returns, in bytes.
const maxRaw = 1 << 16

// Raw is what the program has written, escape sequences included, up to maxRaw.
func (p *PTY) Raw() string {
	p.rawLock.Lock()
	defer p.rawLock.Unlock()
	return string(p.raw)
}

func (p *PTY) readOutput() {
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		if err != nil {
			return
		}
		p.reading.Lock()
		p.rawLock.Lock()
		p.raw = append(p.raw, buf[:min(n, maxRaw-len(p.raw))]...)
		p.rawLock.Unlock()
		_ = p.show(buf[:n]) // the emulator takes everything
		p.reading.Unlock()
	}
}

// Stall stops reading the output, until resume is called.
func (p *PTY) Stall() (resume func()) {
	p.reading.Lock()
	return p.reading.Unlock
}

// Fill writes blanks until the kernel takes no more. Call Stall first.
func (p *PTY) Fill() error {
	f, err := os.OpenFile(p.slave.Name(), os.O_WRONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for _, size := range []int{1024, 1} { // a block may not fit where a byte does
		if err := f.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			return err
		}
		for err = nil; err == nil; {
			_, err = f.Write(bytes.Repeat([]byte(" "), size))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return nil
}

func (p *PTY) writeInput() {
	buf := make([]byte, 256)
	for {
		n, err := p.input.Read(buf)
		if err != nil {
			return
		}
		_, _ = p.master.Write(buf[:n]) // the terminal may be gone
	}
}

// Press types keys: names as in Harness, any other text as it is.
func (p *PTY) Press(keys ...string) {
	for _, k := range keys {
		if r, ok := keySequences[k]; ok {
			k = r
		}
		p.input.put([]byte(k))
	}
}

// Hangup closes the terminal, as a window does that is closed.
func (p *PTY) Hangup() error { return p.master.Close() }

// Ended waits until the program has ended. It returns false after the given time.
func (p *PTY) Ended(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		return false
	}
}

// ExitError is how the program ended; call it after Ended.
func (p *PTY) ExitError() error { return p.err }

// IsRaw is true if the terminal shows no typed keys, as while a console has it.
func (p *PTY) IsRaw() (bool, error) {
	var t syscall.Termios
	if err := p.ioctl(syscall.TCGETS, unsafe.Pointer(&t)); err != nil {
		return false, err
	}
	return t.Lflag&syscall.ECHO == 0 || t.Lflag&syscall.ICANON == 0, nil
}

// WaitRestored waits until nothing that the program has set is left in the terminal. Call it after Ended.
func (p *PTY) WaitRestored(within time.Duration) error {
	if raw, err := p.IsRaw(); err != nil {
		return err
	} else if raw {
		return errors.New("the terminal is still raw")
	}
	left := ""
	err := p.Wait("the terminal as it was", within, func(string) bool {
		left = p.leftBehind()
		return left == ""
	})
	if err != nil {
		return fmt.Errorf("the program left %s: %w", left, err)
	}
	return nil
}

// State is the state of the process: R, S, T for stopped, Z.
func (p *PTY) State() string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state
}

// Close kills the program if it runs, and closes the terminal.
func (p *PTY) Close() {
	_ = p.Process.Kill() // an error means that it has ended
	<-p.ended
	p.input.close()
	_ = p.master.Close() // a Hangup may have closed it
	_ = p.slave.Close()
	if c, ok := p.emulator.InputPipe().(io.Closer); ok {
		_ = c.Close() // ends forwardReplies
	}
}
