package config

import (
	"strings"
	"testing"
	"time"

	"unibus/core"
)

// TestNotAfter: an operator's key may have an end, in the file and in a flag.
func TestNotAfter(t *testing.T) {
	t.Parallel()
	endOfDay := core.MillisOf(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC))
	moment := core.MillisOf(time.Date(2027, 1, 31, 16, 30, 0, 0, time.UTC))
	for text, want := range map[string]core.Millis{
		"2027-01-31": endOfDay, "2027-01-31T17:30:00+01:00": moment, "": 0,
		"tomorrow": -1, "2027-02-30": -1, "1969-12-31T00:00:00Z": -1, "2027-01-31 17:00": -1, "99999-01-01": -1,
	} {
		line := "not-after = \"" + text + "\"\n"
		file := write(t, "[[operator]]\nkey = \""+alice+"\"\nrole = \"viewer\"\nname = \"alice\"\n"+line)
		checkNotAfter(t, "file: "+text, want)(Load(file, nil, nil))
		checkNotAfter(t, "flag: "+text, want)(Load("", nil, map[string][]string{"operator": {alice + ":viewer:alice:not-after=" + text}}))
		checkNotAfter(t, "environment: "+text, want)(Load("", []string{"UNIBUS_OPERATOR=" + alice + ":viewer:alice:not-after=" + text}, nil))
	}
}

func checkNotAfter(t *testing.T, name string, want core.Millis) func(Node, error) {
	return func(n Node, err error) {
		t.Helper()
		if want < 0 {
			if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), "is not a date") {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if err != nil || n.Operators[0].NotAfter != want || n.Operators[0].Name != "alice" {
			t.Errorf("%s: %+v, %v, want %d", name, n.Operators, err, want)
			return
		}
		text, err := n.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load(write(t, string(text)), nil, nil)
		if err != nil || again.Operators[0] != n.Operators[0] {
			t.Errorf("%s: written and read again it is %+v, %v", name, again.Operators, err)
		}
	}
}
