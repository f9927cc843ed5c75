package request

import (
	"strings"
	"testing"
)

// FuzzCallerOf: the caller that a subject names is one token behind the prefix; nothing
// else is ever taken for a caller.
func FuzzCallerOf(f *testing.F) {
	const prefix = "unibus.admin.v1."
	for _, s := range []string{"", prefix, prefix + "U", prefix + "U.any.status", prefix + ".any.status", "x." + prefix + "U.any.status"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		caller := callerOf(prefix, subject)
		if caller == "" {
			return
		}
		if strings.Contains(caller, ".") || !strings.HasPrefix(subject, prefix+caller+".") {
			t.Errorf("%q is taken to be from %q", subject, caller)
		}
	})
}
