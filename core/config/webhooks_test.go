package config

import (
	"slices"
	"strings"
	"testing"

	"unibus/core"
)

// TestBadWebhooks: an address that cannot be sent to, or must not be, is refused at the start. The
// address is not repeated beyond its host: it may have a token in it.
func TestBadWebhooks(t *testing.T) {
	t.Parallel()
	const secret = "T0KEN-in-the-path"
	valid := func() Node {
		n := Default()
		n.Name, n.Webhooks, n.WebhookSecretFile = "n1", Webhooks{"https://alerts.example/" + secret}, "/etc/unibus/webhook"
		return n
	}
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"alerts.example/" + secret:                   "is not an address",
		"ftp://alerts.example/" + secret:             "begins with neither https:// nor http://",
		"https:///" + secret:                         "is not an address",
		"https://ana:" + secret + "@alerts.example/": "has a user name or a password",
		"https://alerts.example/#" + secret:          "has a fragment",
		"http://alerts.example/" + secret:            "is http",
		"https://127.0.0.1/" + secret:                "in a private network or on this machine",
		"https://[::1]:8443/" + secret:               "in a private network or on this machine",
		"https://localhost/" + secret:                "in a private network or on this machine",
		"https://10.0.0.7/" + secret:                 "in a private network or on this machine",
		"https://[fe80::1%25eth0]/" + secret:         "in a private network or on this machine",
		"https://alerts.example/%zz" + secret:        "is not an address",
	} {
		n := valid()
		n.Webhooks = append(n.Webhooks, address)
		err := n.Validate()
		if core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--webhook: ") || core.AsError(err).Next == "" {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
		if err != nil && strings.Contains(err.Error()+core.AsError(err).Next, secret) {
			t.Errorf("the error repeats the address: %v", err)
		}
	}
	for _, address := range []string{"http://127.0.0.1:9000/x", "https://10.0.0.7/", "https://localhost/"} {
		n := valid()
		n.Webhooks, n.WebhookAllowPrivate = Webhooks{address}, true
		if err := n.Validate(); err != nil {
			t.Errorf("%s with --webhook-allow-private: %v", address, err)
		}
	}
	for want, change := range map[string]func(*Node){
		"--webhook is given without --webhook-secret-file":   func(n *Node) { n.WebhookSecretFile = "" },
		"--webhook-secret-file is given without --webhook":   func(n *Node) { n.Webhooks = nil },
		"--webhook-allow-private is given without --webhook": func(n *Node) { n.Webhooks, n.WebhookSecretFile, n.WebhookAllowPrivate = nil, "", true },
		"--webhook is given 11 times":                        func(n *Node) { n.Webhooks = slices.Repeat(n.Webhooks, 11) },
	} {
		n := valid()
		change(&n)
		if err := n.Validate(); core.KindOf(err) != core.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for _, text := range []string{`webhook = "https://a.example/"`, `webhook = ["https://a.example/"]`} {
		var n Node
		if err := decode("f", []byte(text), &n); err != nil || !slices.Equal(n.Webhooks, Webhooks{"https://a.example/"}) {
			t.Errorf("%s: %v, %v", text, n.Webhooks, err)
		}
	}
	n := valid()
	if err := decode("f", []byte("webhook = 7"), &n); err == nil {
		err = n.Validate()
		invalid(t, err, "is not an address")
	}
}
