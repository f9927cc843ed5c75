package config

import (
	"bytes"
	_ "embed" // for the declared flags
	"encoding/json"
	"fmt"
	"strconv"

	"unibus/core"
)

//go:embed feature_flags.json
var featureFlags []byte

// Flags are the targets that the project declares for a cluster. The active flags are
// those that the operator started; a difference between the two is a note.
type Flags struct {
	BusAuth       core.BusAuth `json:"bus-auth"`
	BusTLS        bool         `json:"bus-tls"`
	Decentralized bool         `json:"decentralized"` // the control plane is replicated KV
}

// Declared returns the targets of feature_flags.json, which is part of the program.
func Declared() Flags {
	f, err := parseFlags(featureFlags)
	if err != nil {
		panic(fmt.Sprintf("config: feature_flags.json: %v", err)) // a broken build; a test sees it first
	}
	return f
}

func parseFlags(data []byte) (Flags, error) {
	var f Flags
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&f)
	return f, err
}

// Active returns what a node's settings amount to, in the terms of the targets.
func (n Node) Active() Flags {
	return Flags{BusAuth: n.BusAuth, BusTLS: n.TLS(), Decentralized: n.Store == core.BackendKV}
}

// Flag is one flag as text.
type Flag struct {
	Name  string
	Value string
}

// List returns the flags as text, in the order of the file.
func (f Flags) List() []Flag {
	return []Flag{
		{"bus-auth", string(f.BusAuth)},
		{"bus-tls", strconv.FormatBool(f.BusTLS)},
		{"decentralized", strconv.FormatBool(f.Decentralized)},
	}
}
