package tuitest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// recording is what a terminal was sent, and when.
type recording struct {
	mu     sync.Mutex
	began  time.Time
	frames []recordedFrame
}

type recordedFrame struct {
	at   time.Duration
	data string
}

func (r *recording) add(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		r.began = time.Now()
	}
	r.frames = append(r.frames, recordedFrame{time.Since(r.began), string(p)})
}

// mostIdle is the longest time in which a player shows nothing new, in seconds.
const mostIdle = 1.5

// Asciicast writes all that the terminal was sent so far, in version 2 of the format.
func (t *Terminal) Asciicast(w io.Writer, title string) error {
	t.record.mu.Lock()
	defer t.record.mu.Unlock()
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	head := map[string]any{"version": 2, "width": t.width, "height": t.height, "timestamp": t.record.began.Unix(), "title": title, "idle_time_limit": mostIdle, "env": map[string]string{"TERM": "xterm-256color"}}
	if err := e.Encode(head); err != nil {
		return err
	}
	for _, f := range t.record.frames {
		at := json.Number(fmt.Sprintf("%.3f", f.at.Seconds()))
		if err := e.Encode([]any{at, "o", f.data}); err != nil {
			return err
		}
	}
	return b.Flush()
}
