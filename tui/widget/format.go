package widget

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FormatAge formats a duration in its largest unit: 0.4 s, 26 m, 3 h, 71 d.
func FormatAge(d time.Duration) string {
	n, u := formatAgeParts(d)
	return n + " " + u
}

// formatAgeParts is FormatAge with a separate unit.
func formatAgeParts(d time.Duration) (figure, unit string) {
	d = max(d, 0)
	switch {
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f", d.Seconds()), "s"
	case d < 100*time.Second:
		return fmt.Sprint(int(d.Seconds())), "s"
	case d < 100*time.Minute:
		return fmt.Sprint(int(d.Minutes())), "m"
	case d < 48*time.Hour:
		return fmt.Sprint(int(d.Hours())), "h"
	}
	return fmt.Sprint(int(d.Hours() / 24)), "d"
}

// FormatDuration formats a duration in two units, for sentences: 13 s, 4 m 5 s, 3
// h 12 m, 2 d 4 h.
func FormatDuration(d time.Duration) string {
	s := int(max(d, 0).Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d m %d s", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%d h %d m", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// FormatSizeParts formats a size with a separate unit: 61 MB, 14.2 MB.
func FormatSizeParts(n int64) (figure, unit string) {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	f, i := float64(max(n, 0)), 0
	for f >= 999.5 && i < len(units)-1 {
		f, i = f/1000, i+1
	}
	if i == 0 || f >= 20 {
		return fmt.Sprintf("%.0f", f), units[i]
	}
	return fmt.Sprintf("%.1f", f), units[i]
}

// FormatSize formats a size: 61 MB, 14.2 MB.
func FormatSize(n int64) string {
	f, u := FormatSizeParts(n)
	return f + " " + u
}

// FormatCount writes a number in groups of three: 1 004.
func FormatCount(n int) string {
	s := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return sign + s
}

// GroupCounts formats the counts in a sentence like FormatCount. Only numbers
// before a counted noun are counts; ports, years and file names stay.
func GroupCounts(s string) string {
	words := strings.Split(s, " ")
	for i, w := range words[:len(words)-1] {
		n, err := strconv.Atoi(w)
		if err == nil && len(w) > 3 && strconv.Itoa(n) == w && isCountedNoun(words[i+1]) {
			words[i] = FormatCount(n)
		}
	}
	return strings.Join(words, " ")
}

func isCountedNoun(word string) bool {
	switch strings.TrimSuffix(strings.TrimRight(word, ".,;:)"), "s") {
	case "key", "row", "user", "room", "member", "session", "message", "record", "operation", "client", "byte", "sealed":
		return true
	}
	return false
}

// Plural returns "1 node" or "2 nodes".
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return FormatCount(n) + " " + many
}

// JoinNames returns "n1, n2 and n3".
func JoinNames(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

// Capitalize returns a text with its first letter as a capital.
func Capitalize(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Sentence capitalizes a text and adds the full stop. Errors and reasons come without.
func Sentence(s string) string {
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?") {
		return Capitalize(s)
	}
	return Capitalize(s) + "."
}
