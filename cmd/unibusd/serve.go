package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"unibus/cmd/cli"
	"unibus/core"
	"unibus/core/config"
	"unibus/core/node"
)

func serveCommand() *cobra.Command {
	var file string
	var check bool
	c := &cobra.Command{
		Use: "serve", Short: "Run one node", Args: cli.Args(),
		RunE: func(c *cobra.Command, _ []string) error {
			source := &config.Source{File: file, Environ: os.Environ(), Flags: changed(c.Flags())}
			cfg, err := source.Load()
			if err != nil {
				return err
			}
			if check {
				return source.Explain(checkConfiguration(c, cfg))
			}
			hangup := make(chan os.Signal, 1)
			signal.Notify(hangup, syscall.SIGHUP)
			defer signal.Stop(hangup)
			n := node.New(node.Config{Node: cfg, Version: version, Log: logger(c, cfg), Source: source, Hangup: hangup, LogFile: os.Stderr})
			return source.Explain(n.Run(c.Context()))
		},
	}
	for _, s := range config.Settings() {
		if s.Many {
			c.Flags().StringArray(s.Name, nil, s.Usage)
		} else {
			c.Flags().String(s.Name, s.Default, s.Usage)
		}
	}
	c.Flags().StringVar(&file, "config", "", "read this TOML FILE first; its keys are the names of these flags")
	c.Flags().BoolVar(&check, "check", false, "check the configuration and stop")
	return c
}

// checkConfiguration opens what the configuration names, and says what a node would start with.
func checkConfiguration(c *cobra.Command, cfg config.Node) error {
	warnings, err := node.Check(cfg, time.Now())
	if err != nil {
		return err
	}
	c.Println("The configuration is fine: a node can start with it.")
	for _, w := range warnings {
		c.Println("warning:", w)
	}
	return nil
}

// changed are the flags that were set, in the form that config.Load takes.
func changed(fs *pflag.FlagSet) map[string][]string {
	set := map[string][]string{}
	fs.Visit(func(f *pflag.Flag) {
		switch v := f.Value.(type) {
		case pflag.SliceValue:
			set[f.Name] = v.GetSlice()
		default:
			set[f.Name] = []string{v.String()}
		}
	})
	delete(set, "config")
	delete(set, "check")
	return set
}

func logger(c *cobra.Command, cfg config.Node) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // config.Load has checked it
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: redacted}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(c.ErrOrStderr(), opts))
	}
	return slog.New(slog.NewTextHandler(c.ErrOrStderr(), opts))
}

// redacted takes secrets out of what is logged before it is quoted.
func redacted(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(core.RedactValue(v))
	case error:
		a.Value = slog.StringValue(core.RedactValue(v.Error()))
	}
	return a
}
