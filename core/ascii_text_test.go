package core_test

import (
	"testing"

	"unibus/core"
)

func TestLocale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ []string
		want    bool
	}{
		{[]string{"LANG=C.UTF-8"}, true},
		{[]string{"LANG=en_US.utf8"}, true},
		{[]string{"LANG=C"}, false},
		{[]string{"LANG=POSIX"}, false},
		{[]string{"LANG=de_DE.ISO-8859-1"}, false},
		{[]string{"LANG=de_DE"}, false},
		{nil, false},
		{[]string{"LANG=en_US.UTF-8", "LC_ALL=C"}, false},
		{[]string{"LANG=C", "LC_CTYPE=en_US.UTF-8", "LC_ALL="}, true},
	} {
		if got := core.IsUTF8Locale(c.environ); got != c.want {
			t.Errorf("%q: UTF-8 %v, want %v", c.environ, got, c.want)
		}
	}
	if got := core.ASCIIText("n1 – n2… größer"); got != "n1 - n2~ gr??er" {
		t.Errorf("%q", got)
	}
}
