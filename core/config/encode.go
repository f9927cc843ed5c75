package config

import (
	"time"

	"github.com/pelletier/go-toml/v2"

	"unibus/core"
)

// operatorTable gives an operator the keys of the file.
type operatorTable struct {
	Key      string            `toml:"key"`
	Role     core.OperatorRole `toml:"role"`
	Name     string            `toml:"name"`
	NotAfter string            `toml:"not-after,omitempty"`
	SSHKey   string            `toml:"ssh-key,omitempty"`
}

func (t operatorTable) operator() (core.Operator, error) {
	end, err := parseNotAfter(t.NotAfter)
	if err != nil {
		return core.Operator{}, err
	}
	sshKey, err := parseSSHKey(t.SSHKey)
	if err != nil {
		return core.Operator{}, err
	}
	return core.Operator{Key: t.Key, Role: t.Role, Name: t.Name, NotAfter: end, SSHKey: sshKey}, nil
}

func tableOf(op core.Operator) operatorTable {
	t := operatorTable{Key: op.Key, Role: op.Role, Name: op.Name, SSHKey: op.SSHKey}
	if op.NotAfter != 0 {
		t.NotAfter = op.NotAfter.Time().UTC().Format(time.RFC3339Nano)
	}
	return t
}

// parseNotAfter reads the end of a credential: a day, at whose end in UTC it ends,
// or a moment as RFC 3339 has it. "" is 0, no end.
func parseNotAfter(text string) (core.Millis, error) {
	if text == "" {
		return 0, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return core.MillisOf(day.AddDate(0, 0, 1)), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.UnixMilli() <= 0 {
		return 0, core.Errorf(core.KindInvalid, "not-after %.40q is not a date", text).
			WithNext("write a day, which is the last one, or a moment: 2027-01-31, or 2027-01-31T17:00:00Z")
	}
	return core.MillisOf(at), nil
}

// Encode returns the settings as the text of a configuration file that Load
// reads back. NatsDebug is not part of a file.
func (n Node) Encode() ([]byte, error) {
	var ops struct {
		Operators []operatorTable `toml:"operator,omitempty"`
	}
	for _, op := range n.Operators {
		ops.Operators = append(ops.Operators, tableOf(op))
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
