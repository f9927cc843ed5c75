package config

import "testing"

// TestOperatorNamesKeepTheirJoiners: joiners that a script or an emoji needs are accepted, hidden
// ones are not.
func TestOperatorNamesKeepTheirJoiners(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"ana": true, "می\u200cخواهم": true, "ශ්\u200dරී": true, "👨\u200d👩\u200d👧": true, "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f": true,
		"": false, " ": false, "ana ": false, "\u00a0": false, "\u0301": false, "\u2800": false, "a,b": false, "ad\u200dmin": false, "a\u202eb": false, "two\nlines": false, "a\u200bb": false,
	} {
		if got := printable(name); got != want {
			t.Errorf("%+q: %v, want %v", name, got, want)
		}
	}
}
