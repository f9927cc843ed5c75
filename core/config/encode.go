package config

import (
	"github.com/pelletier/go-toml/v2"

	"unibus/core"
)

// operatorTable gives an operator the keys of the file.
type operatorTable struct {
	Key  string            `toml:"key"`
	Role core.OperatorRole `toml:"role"`
	Name string            `toml:"name"`
}

// Encode returns the settings as the text of a configuration file that Load
// reads back. NatsDebug is not part of a file.
func (n Node) Encode() ([]byte, error) {
	var ops struct {
		Operators []operatorTable `toml:"operator,omitempty"`
	}
	for _, op := range n.Operators {
		ops.Operators = append(ops.Operators, operatorTable(op))
	}
	n.Operators = nil
	text, err := toml.Marshal(n)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the settings cannot be written as TOML: %w", err)
	}
	tables, err := toml.Marshal(ops)
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the operators cannot be written as TOML: %w", err)
	}
	return append(append(text, '\n'), tables...), nil
}
