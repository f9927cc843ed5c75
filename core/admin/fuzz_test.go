package admin_test

import (
	"strings"
	"testing"

	"unibus/core/admin"
)

// FuzzCallerOf: whoever a subject is said to be from stands in it as one token
// behind the prefix; nothing else is ever taken for a caller.
func FuzzCallerOf(f *testing.F) {
	for _, s := range []string{"", admin.Prefix, admin.Prefix + "U", admin.Prefix + "U.any.status", admin.Prefix + ".any.status", "x." + admin.Prefix + "U.any.status"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		caller := admin.CallerOf(subject)
		if caller == "" {
			return
		}
		if strings.Contains(caller, ".") || !strings.HasPrefix(subject, admin.Prefix+caller+".") {
			t.Errorf("%q is taken to be from %q", subject, caller)
		}
	})
}
