package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"unibus/core"
	"unibus/core/bus"
	"unibus/core/cluster"
	"unibus/core/config"
	"unibus/core/migrate"
	"unibus/core/store/sqlite"
	"unibus/core/webhook"
)

// Check opens what a configuration names, as a node that starts would, and changes
// nothing. An error is what would keep the node from starting, or all others from connecting to
// it; warnings are what it would start with all the same. A node that runs meanwhile is not disturbed.
func Check(cfg config.Node, now time.Time) (warnings []string, err error) {
	if err := checkData(cfg); err != nil {
		return nil, err
	}
	clients, err := checkTLS(cfg, now)
	if err != nil {
		return nil, err
	}
	route, err := checkRouteTLS(cfg, now)
	if err != nil {
		return nil, err
	}
	if len(cfg.Webhooks) > 0 {
		if _, err := webhook.ReadSecret(cfg.WebhookSecretFile); err != nil {
			return nil, err
		}
	}
	warnings = append(clients, route...)
	for _, f := range cluster.Exposed([]cluster.Info{{Name: cfg.Name, Loopback: config.Loopback(cfg.Listen), TLS: cfg.TLS(), BusAuth: cfg.BusAuth}}) {
		warnings = append(warnings, f.Text+" "+f.Next)
	}
	if cfg.MetricsListen != "" && !config.Loopback(cfg.MetricsListen) {
		warnings = append(warnings, "Other machines can read this node's metrics at "+cfg.MetricsListen+", which have no login. Let only the monitoring reach them.")
	}
	backups, err := checkBackups(cfg)
	if err != nil {
		return nil, err
	}
	warnings = append(warnings, backups...)
	if len(cfg.Operators) == 0 {
		warnings = append(warnings, "There is no operator: no person can look at this node or change anything. Add one with --operator NKEY:ROLE:NAME")
	}
	return warnings, nil
}

// checkBackups reads the keys of scheduled backups, and looks for the directory. A node
// starts without the directory: it may not be mounted yet.
func checkBackups(cfg config.Node) (warnings []string, err error) {
	settings, err := scheduleSettings(cfg)
	if err != nil || settings.To == nil {
		return nil, err
	}
	if cfg.BackupDir == "" {
		return nil, nil
	}
	if info, err := os.Stat(cfg.BackupDir); err != nil || !info.IsDir() {
		warnings = append(warnings, "The directory of backups, "+cfg.BackupDir+", is not there. No backup is made before it is.")
	}
	return warnings, nil
}

// checkData looks at the data directory and the database, if they are there.
func checkData(cfg config.Node) error {
	info, err := os.Stat(cfg.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return core.Errorf(core.KindInvalid, "the data directory %s cannot be read: %w", cfg.Data, err).WithNext("check --data and its owner")
	default:
		if err := checkPrivate(cfg.Data, info); err != nil {
			return err
		}
		if _, err := migrate.NewFileJournal(filepath.Join(cfg.Data, "journal.json")).Load(); err != nil {
			return err
		}
	}
	if err := checkWritable(cfg.Data); err != nil {
		return err
	}
	if err := bus.New((&Node{cfg: Config{Node: cfg}}).busConfig(), nil).CheckDir(); err != nil {
		return err
	}
	return checkDatabase(cfg)
}

// checkDatabase looks at the SQLite file. A missing one is made, or the node serves the buckets.
func checkDatabase(cfg config.Node) error {
	if _, err := os.Stat(cfg.DB); !errors.Is(err, fs.ErrNotExist) {
		return sqlite.CheckFile(cfg.DB)
	}
	dir := filepath.Dir(cfg.DB)
	if _, err := os.Stat(dir); err != nil && !cfg.Clustered() && dir != filepath.Clean(cfg.Data) {
		return core.Errorf(core.KindInvalid, "the directory of the database, %s, cannot be read: %w", dir, err).WithNext("make it, or check --db")
	}
	return nil
}

// checkWritable refuses a directory that this process cannot write to, or could not make.
func checkWritable(dir string) error {
	at := filepath.Clean(dir)
	for _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at); _, err = os.Stat(at) {
		at = filepath.Dir(at)
	}
	const writeAndEnter = 0o3 // of access(2), which knows read-only file systems too
	if err := syscall.Access(at, writeAndEnter); err != nil {
		return core.Errorf(core.KindInvalid, "the data directory %s cannot be written: %s: %w", dir, at, err).WithNext("check --data, its owner and its disk")
	}
	return nil
}
