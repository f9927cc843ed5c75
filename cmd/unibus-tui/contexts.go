package main

import (
	"maps"
	"slices"

	"unibus/core/keys"
	"unibus/tui/settings"
)

// knownContext is a cluster that this person has given a name.
type knownContext struct {
	Name    string   `json:"name"`
	Servers []string `json:"servers"`
	From    string   `json:"from"` // the file that names it
	Color   string   `json:"color,omitempty"`
}

// fromNATS is where the contexts of the nats CLI come from.
const fromNATS = "nats CLI"

// knownContexts are those of the settings file, then those of the nats CLI, each by name. The
// settings file's hides another one of its name, as `--context` does.
func knownContexts(f settings.File) []knownContext {
	var out []knownContext
	for _, name := range slices.Sorted(maps.Keys(f.Contexts)) {
		c := f.Contexts[name]
		out = append(out, knownContext{Name: name, Servers: c.Servers, From: f.Where("contexts." + name), Color: c.Color})
	}
	for _, name := range keys.Contexts() {
		if _, hidden := f.Contexts[name]; hidden {
			continue
		}
		found, _ := keys.ReadContext(name) // one that cannot be used is listed, too: choosing it says why
		out = append(out, knownContext{Name: name, Servers: found.Servers, From: fromNATS})
	}
	return out
}
