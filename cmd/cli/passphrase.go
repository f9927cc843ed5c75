package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"unicode/utf8"

	"github.com/charmbracelet/x/term"

	"unibus/core"
)

// maxPassphrase bounds what is read from a descriptor, in bytes.
const maxPassphrase = 4096

// Passphrase is where the passphrases of seed files come from: a file
// descriptor, as a script gives it, or the terminal.
type Passphrase struct {
	FD       int  // 0: ask on the terminal
	NoPrompt bool // the console has the terminal: fail instead of asking there

	given []byte // the first line of FD, which can be read once
}

// ErrPassphraseNeeded is why a protected seed cannot be used with NoPrompt.
var ErrPassphraseNeeded = errors.New("a passphrase protects it, which only the start of the program asks for")

// passphraseFlag is the name of the flag that sets FD.
const passphraseFlag = "passphrase-fd"

// Ask returns the passphrase of an existing file.
func (p *Passphrase) Ask(file string) ([]byte, error) {
	switch {
	case p.FD != 0:
		return p.read()
	case p.NoPrompt:
		return nil, core.Errorf(core.KindInvalid, "%s: %w", file, ErrPassphraseNeeded).
			WithNext("end the console and start it for this cluster: `unibus-tui --context NAME`")
	}
	return prompt("Passphrase of " + file + ": ")
}

// AskNew returns a passphrase for a file that is about to be made; on a terminal it asks twice.
func (p *Passphrase) AskNew(ctx context.Context, file string) ([]byte, error) {
	if p.FD != 0 {
		return Interruptible(ctx, p.read)
	}
	first, err := prompt("New passphrase of " + file + ": ")
	if err != nil {
		return nil, err
	}
	again, err := prompt("The same again: ")
	if err == nil && !bytes.Equal(first, again) {
		err = core.Errorf(core.KindInvalid, "the two passphrases differ; nothing was written").WithNext("run the command again")
	}
	return first, err
}

// read takes the first line of the descriptor, the first time.
func (p *Passphrase) read() ([]byte, error) {
	if p.given != nil {
		return p.given, nil
	}
	f := os.NewFile(uintptr(p.FD), passphraseFlag) //nolint:gosec // a descriptor
	if p.FD < 0 || f == nil {
		return nil, core.Errorf(core.KindInvalid, "--%s %d is no file descriptor", passphraseFlag, p.FD)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxPassphrase))
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "--%s %d cannot be read", passphraseFlag, p.FD).
			WithNext("open it in the shell: --%s 3 3<FILE", passphraseFlag)
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return nil, core.Errorf(core.KindInvalid, "there is no passphrase on the descriptor %d", p.FD)
	}
	p.given = line
	return line, nil
}

// prompt asks on the terminal, without showing what is typed.
func prompt(text string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "a passphrase is needed, and there is no terminal to ask on").
			WithNext("give it on a file descriptor: --%s 3 3<FILE", passphraseFlag)
	}
	defer func() { _ = tty.Close() }()
	typed, err := readPassphrase(tty, text)
	_, _ = fmt.Fprintln(tty)
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "no passphrase was typed")
	}
	return typed, nil
}

// readPassphrase ends with the signals that the programs catch, and with Ctrl-C: the read
// itself would go on, and leave a terminal that shows nothing. All of that is in place
// before the question is shown.
func readPassphrase(tty *os.File, text string) ([]byte, error) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(stop)
	before, err := term.MakeRaw(tty.Fd())
	if err != nil {
		return nil, err
	}
	defer func() { _ = term.Restore(tty.Fd(), before) }() // the terminal may be gone
	_, _ = fmt.Fprint(tty, text)
	type result struct {
		typed []byte
		err   error
	}
	read := make(chan result, 1)
	go func() {
		typed, err := readHidden(tty)
		read <- result{typed, err}
	}()
	select {
	case r := <-read:
		return r.typed, r.err
	case <-stop:
		return nil, errInterrupted
	}
}

var errInterrupted = errors.New("interrupted")

// The keys that a raw terminal passes on.
const (
	keyCtrlC     = 0x03
	keyCtrlD     = 0x04
	keyBackspace = 0x08
	keyCtrlU     = 0x15
	keyDelete    = 0x7f
)

// readHidden reads a line from a terminal in raw mode, with the keys that correct it.
func readHidden(tty io.Reader) ([]byte, error) {
	var line []byte
	key := make([]byte, 1)
	for len(line) < maxPassphrase {
		if _, err := tty.Read(key); err != nil {
			return nil, err
		}
		switch key[0] {
		case '\r', '\n':
			return line, nil
		case keyCtrlC:
			return nil, errInterrupted
		case keyCtrlD:
			if len(line) == 0 {
				return nil, io.EOF
			}
		case keyBackspace, keyDelete:
			_, size := utf8.DecodeLastRune(line)
			line = line[:len(line)-size]
		case keyCtrlU:
			line = line[:0]
		default:
			line = append(line, key[0])
		}
	}
	return nil, core.Errorf(core.KindInvalid, "a passphrase has at most %d bytes", maxPassphrase)
}
