package cluster

import (
	"fmt"
	"strings"
	"time"

	"unibus/core"
)

// join lists words: "n1", "n1 and n2", "n1, n2 and n3".
func join(words []string) string { return list(words, "and") }

// either lists words as alternatives: "n1 or n2".
func either(words []string) string { return list(words, "or") }

func list(words []string, last string) string {
	switch n := len(words); n {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " " + last + " " + words[n-1]
	}
}

// number spells small numbers: "three".
func number(n int) string {
	words := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
	if n >= 0 && n < len(words) {
		return words[n]
	}
	return fmt.Sprint(n)
}

// all spells how many there are of a whole: "both", "all three".
func all(n int) string {
	switch n {
	case 1:
		return "the one"
	case 2:
		return "both"
	}
	return "all " + number(n)
}

// plural picks the form of a word: one for a single thing, else more.
func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

// capital makes the first letter of a sentence a capital, unless it begins with the name of something.
func capital(text string, names ...string) string {
	for _, n := range names {
		if strings.HasPrefix(text, n) {
			return text
		}
	}
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// clock is a moment in UTC, which operators in several zones read alike: a sentence is made on
// a node and read elsewhere. The day is with it where it is another one.
func clock(m core.Millis, now time.Time) string {
	t := m.Time().UTC()
	if Age(m, now) >= 20*time.Hour {
		return t.Format("2006-01-02 15:04:05") + " UTC"
	}
	return t.Format("15:04:05") + " UTC"
}

// span is a duration in the largest fitting unit: "13 s", "26 m", "3 h", "4 d".
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than 1 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d m", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// everyBucket is what a sentence calls all five.
const everyBucket = "every bucket"

// tables are buckets as a sentence names them; where all five of the control plane are
// among them, they are "every bucket".
func tables(buckets []string) string {
	five := 0
	for _, b := range buckets {
		if isTable(b) {
			five++
		}
	}
	if five == len(core.Tables()) {
		return everyBucket
	}
	short := shorts(buckets)
	return join(short)
}

// subject is tables at the beginning of a sentence. Names keep their small letters.
func subject(buckets []string) string {
	if text := tables(buckets); text != everyBucket {
		return text
	}
	return "Every bucket"
}

func shorts(buckets []string) []string {
	out := make([]string, len(buckets))
	for i, b := range buckets {
		out[i] = short(b)
	}
	return out
}

// guided names the guide that leads through the whole repair. It comes last: the console opens it.
func guided(name string) string { return "; step by step: unibusd guide " + name }
