package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/charmbracelet/x/vt"
)

// TestFilmIsValidAndEndsHealthy plays the asciicast of the main job as a player does.
func TestFilmIsValidAndEndsHealthy(t *testing.T) {
	t.Parallel()
	f, err := os.Open("migration.cast")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	var head struct{ Version, Width, Height int }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &head) != nil || head.Version != 2 || head.Width < 80 || head.Height < 24 {
		t.Fatalf("the head is %q", lines.Text())
	}
	screen := vt.NewEmulator(head.Width, head.Height)
	go func() { // what it answers, which nobody reads otherwise
		buf := make([]byte, 256)
		for {
			if _, err := screen.Read(buf); err != nil {
				return
			}
		}
	}()
	last, frames := -1.0, 0
	for lines.Scan() {
		var event []any
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil || len(event) != 3 || event[1] != "o" {
			t.Fatalf("event %d is %q: %v", frames, lines.Text(), err)
		}
		if at := event[0].(float64); at < last {
			t.Fatalf("event %d is at %v, after one at %v", frames, at, last)
		} else {
			last = at
		}
		if strings.Contains(event[2].(string), "\x1b[?1049l") { // the console gives the terminal back
			break
		}
		_, _ = screen.Write([]byte(event[2].(string)))
		frames++
	}
	if err := lines.Err(); err != nil || frames < 100 {
		t.Fatalf("%d frames: %v", frames, err)
	}
	end := ""
	for y := range head.Height {
		for x := range head.Width {
			if c := screen.CellAt(x, y); c != nil {
				end += c.Content
			}
		}
	}
	if !strings.Contains(end, "healthy") || !strings.Contains(end, "Any one node may stop") {
		t.Errorf("the film does not end healthy: %q", end)
	}
}
