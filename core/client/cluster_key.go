package client

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"unibus/core"
	"unibus/core/binding"
	"unibus/core/control"
	"unibus/core/keys"
)

// identify has the cluster prove its key before the client sends anything else: the
// configured key, or the one that it proved the first time, which is pinned in Dir.
func (c *Client) identify(ctx context.Context) error {
	known := keys.KnownClusters{Path: filepath.Join(c.cfg.Dir, "known_clusters")}
	pin := c.cfg.ClusterKey
	if pin == "" {
		var err error
		if pin, err = known.Key(c.cfg.Servers); err != nil {
			return err
		}
	}
	api := control.NewClient(control.ClientConfig{Conn: c.nc, Identity: c.id, ClusterKey: pin})
	c.api = api
	key, err := sendRetrying(ctx, c, readOnly, api.Identify)
	if changed := new(binding.Changed); errors.As(err, &changed) && c.cfg.ClusterKey == "" {
		return core.Errorf(core.KindRefused, "%s: %v", strings.Join(c.cfg.Servers, ", "), changed).
			WithNext("if its key was really replaced, and only then, remove the line with %s from %s", changed.Pinned, known.Path)
	}
	if err != nil || c.cfg.ClusterKey != "" {
		return err
	}
	return known.Pin(c.cfg.Servers, key)
}
