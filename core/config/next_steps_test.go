package config

import (
	"strings"
	"testing"

	"unibus/core"
)

// TestCertificateCommandNamesTheNode: the command has the values of the configuration that asks for it.
func TestCertificateCommandNamesTheNode(t *testing.T) {
	t.Parallel()
	for listen, host := range map[string]string{"192.0.2.7:6222": "192.0.2.7", "n7.example.org:6222": "n7.example.org", "0.0.0.0:6222": "HOST", "[::]:6222": "HOST", ":6222": "HOST"} {
		n := Node{Name: "n7", ClusterListen: listen, Routes: []string{"192.0.2.7:6222"}}
		err := n.checkRouteTLS()
		if want := "unibusd cert node --name n7 --host " + host + " --ca DIR"; core.KindOf(err) != core.KindInvalid || !strings.Contains(core.AsError(err).Next, want) {
			t.Errorf("%s: %v, %q, want %q", listen, err, core.AsError(err).Next, want)
		}
	}
}
