package admin

import (
	"unibus/core"
	"unibus/core/keys"
)

// TrustedCAs are the CAs in the file by which this client verifies the nodes, as it is now.
// It is nil for a client that uses those of its system.
func (c *Client) TrustedCAs() *core.CABundle {
	if c.cfg.CA == "" {
		return nil
	}
	b := &core.CABundle{File: c.cfg.CA}
	certs, err := keys.LoadAuthorities(c.cfg.CA)
	if err != nil {
		b.Fault = core.AsError(err).Text
	}
	b.CAs = keys.CAsOf(certs)
	return b
}
