package config

import (
	"net/netip"
	"net/url"
	"strconv"

	"unibus/core"
)

// Webhooks are the addresses of receivers. A file may have one as a text, in place of a list.
type Webhooks []string

// UnmarshalText reads a single one.
func (w *Webhooks) UnmarshalText(text []byte) error {
	*w = Webhooks{string(text)}
	return nil
}

const maxWebhooks = 10

func setWebhooks(n *Node, v []string) error {
	n.Webhooks = splitList(v)
	return nil
}

func setWebhookAllowPrivate(n *Node, v []string) error {
	on, err := strconv.ParseBool(v[len(v)-1])
	if err != nil {
		return core.Errorf(core.KindInvalid, "%q is neither true nor false", v[len(v)-1]).WithNext("give true or false")
	}
	n.WebhookAllowPrivate = on
	return nil
}

func (n Node) checkWebhooks() error {
	if len(n.Webhooks) == 0 {
		switch {
		case n.WebhookSecretFile != "":
			return wanted("webhook-secret-file", "webhook", "", "the address of a receiver")
		case n.WebhookAllowPrivate:
			return wanted("webhook-allow-private", "webhook", "", "the address of a receiver")
		}
		return nil
	}
	if len(n.Webhooks) > maxWebhooks {
		return core.Errorf(core.KindInvalid, "--webhook is given %d times", len(n.Webhooks)).WithNext("give at most %d, and let one of them pass on what it is told", maxWebhooks)
	}
	for _, text := range n.Webhooks {
		if err := parseWebhook(text, n.WebhookAllowPrivate); err != nil {
			return about("--webhook", err)
		}
	}
	return wanted("webhook", "webhook-secret-file", n.WebhookSecretFile, "the file with the secret that signs what is sent")
}

// parseWebhook checks a receiver's address. http is for receivers that may be private alone. The text
// is not repeated in an error: it may have a token in it.
func parseWebhook(text string, allowPrivate bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return core.Errorf(core.KindInvalid, "a webhook is not an address").WithNext("give the whole address, for example https://alerts.example/unibus")
	case u.User != nil:
		return core.Errorf(core.KindInvalid, "a webhook at %s has a user name or a password before an @", u.Hostname()).
			WithNext("leave it out: the receiver checks the signature of --webhook-secret-file")
	case u.Fragment != "":
		return core.Errorf(core.KindInvalid, "a webhook at %s has a fragment, which no receiver sees", u.Hostname()).WithNext("leave out the # and what follows")
	case u.Scheme == "http" && !allowPrivate:
		return core.Errorf(core.KindInvalid, "a webhook at %s is http: others can read what is sent there", u.Hostname()).
			WithNext("use https; http is for receivers in a network of your own, with --webhook-allow-private")
	case u.Scheme != "https" && u.Scheme != "http":
		return core.Errorf(core.KindInvalid, "a webhook at %s begins with neither https:// nor http://", u.Hostname()).WithNext("give an address that begins with https://")
	case !allowPrivate && isPrivateHost(u.Hostname()):
		return core.Errorf(core.KindInvalid, "a webhook at %s is in a private network or on this machine", u.Hostname()).
			WithNext("if the receiver is there on purpose, give --webhook-allow-private")
	}
	return nil
}

// isPrivateHost is true of a host that needs no name server to be told from a public one. Others
// are checked when they are dialed.
func isPrivateHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return core.IsLoopbackHost(host) || err == nil && core.IsPrivateAddress(ip)
}
