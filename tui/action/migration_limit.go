package action

import (
	"context"
	"fmt"
	"strconv"

	"unibus/core"
	"unibus/tui/widget"
)

func rateField(rate int) widget.Field {
	f := widget.Field{Label: fieldRate, Hint: "no limit", Check: func(v string) error {
		if _, err := parseRate(v); err != nil {
			return core.Errorf(core.KindInvalid, "Enter rows per second; 0 or nothing means no limit.")
		}
		return nil
	}}
	if rate > 0 {
		f.Value = strconv.Itoa(rate)
	}
	return f
}

// parseRate reads a limit; "" is no limit.
func parseRate(v string) (int, error) {
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, core.Errorf(core.KindInvalid, "%q is not a number of rows per second", v)
	}
	return n, nil
}

func limitQuestion(s Input) Question {
	return Question{
		Title: "Limit the copy?", ConfirmLabel: "Set",
		Lines:  []string{"A limit applies at once and keeps disks and network free for users. Without a limit the copy runs as fast as it can."},
		Fields: []widget.Field{rateField(s.Snapshot.Migration.Value.Options.Rate)},
	}
}

func limitCommand(_ Input, v []string) string {
	rate := "0"
	if len(v) > 0 && v[0] != "" {
		rate = v[0]
	}
	return "unibusd migration limit --rate " + core.ShellQuote(rate)
}

func runLimit(ctx context.Context, c Client, s Input, v []string) (string, error) {
	rate, err := parseRate(v[0])
	if err != nil {
		return "", err
	}
	if _, err := c.MigrateLimit(ctx, s.Snapshot.Migration.Value.Node, rate); err != nil {
		return "", err
	}
	if rate == 0 {
		return "The copy has no limit", nil
	}
	return fmt.Sprintf("The copy writes at most %s rows per second", widget.FormatCount(rate)), nil
}
