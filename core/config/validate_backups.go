package config

import (
	"net/url"
	"strings"
	"time"

	"unibus/core"
)

// The bounds of scheduled backups. A backup reads the whole control plane.
const (
	MinBackupInterval = time.Minute
	MaxBackupInterval = 31 * 24 * time.Hour
	MaxBackupsKept    = 200

	DefaultBackupsKept = 14
)

// checkBackups keeps the settings of scheduled backups together.
func (n Node) checkBackups() error {
	if err := firstOf(n.checkBackupPlace(), n.checkObjectStore()); err != nil || !n.MakesBackups() {
		return err
	}
	if err := n.checkBackupTime(); err != nil {
		return err
	}
	if n.BackupKeep < 0 || n.BackupKeep > MaxBackupsKept {
		return core.Errorf(core.KindInvalid, "--backup-keep: %d backups cannot be kept", n.BackupKeep).WithNext("give a number from 1 to %d", MaxBackupsKept)
	}
	for _, r := range n.BackupRecipients {
		if !strings.HasPrefix(r, "age1") { // it is not shown: it may be the private one
			return core.Errorf(core.KindInvalid, "--backup-recipient: a value is not a public key of age").
				WithNext("give the key that age-keygen printed as the public one; it begins with age1")
		}
	}
	return nil
}

// checkBackupTime wants an interval or a time of day.
func (n Node) checkBackupTime() error {
	switch _, err := n.BackupTime(); {
	case err != nil:
		return err
	case n.BackupAt != "" && n.BackupEvery != "":
		return core.Errorf(core.KindInvalid, "--backup-at and --backup-every are both given").WithNext("leave one of them out: backup-at is once a day")
	case n.BackupAt != "":
		return nil
	case n.BackupEvery == "":
		return core.Errorf(core.KindInvalid, "--%s is given without --backup-every", n.backupPlace()).WithNext("say how often, for example --backup-every 24h, or when: --backup-at 03:00")
	case n.BackupZone != "":
		return core.Errorf(core.KindInvalid, "--backup-zone is given without --backup-at").WithNext("leave it out: --backup-every has no time of day")
	}
	if d, err := time.ParseDuration(n.BackupEvery); err != nil || d < MinBackupInterval || d > MaxBackupInterval {
		return core.Errorf(core.KindInvalid, "--backup-every: %.40q is not a time between two backups", n.BackupEvery).
			WithNext("give a time from 1m to 744h, for example 24h")
	}
	return nil
}

func (n Node) backupPlace() string {
	if n.BackupDir != "" {
		return "backup-dir"
	}
	return "backup-s3-endpoint"
}

// checkBackupPlace refuses settings of backups that go nowhere, or to two places.
func (n Node) checkBackupPlace() error {
	if n.BackupDir != "" && n.BackupS3Endpoint != "" {
		return core.Errorf(core.KindInvalid, "--backup-dir and --backup-s3-endpoint are both given").WithNext("leave one of them out")
	}
	place, settings := "--backup-dir or --backup-s3-endpoint", []givenSetting{
		{"backup-every", n.BackupEvery != ""}, {"backup-at", n.BackupAt != ""}, {"backup-zone", n.BackupZone != ""}, {"backup-recipient", len(n.BackupRecipients) > 0}, {"backup-identity", n.BackupIdentity != ""}, {"backup-keep", n.BackupKeep != 0},
	}
	if n.MakesBackups() {
		settings = nil
	}
	if n.BackupS3Endpoint == "" && len(settings) == 0 {
		place = "--backup-s3-endpoint"
	}
	if n.BackupS3Endpoint == "" {
		settings = append(settings,
			givenSetting{"backup-s3-region", n.BackupS3Region != ""}, givenSetting{"backup-s3-bucket", n.BackupS3Bucket != ""}, givenSetting{"backup-s3-prefix", n.BackupS3Prefix != ""},
			givenSetting{"backup-s3-access-key", n.BackupS3AccessKey != ""}, givenSetting{"backup-s3-secret-key", n.BackupS3SecretKey != ""}, givenSetting{"backup-s3-ca", n.BackupS3CA != ""})
	}
	for _, s := range settings {
		if s.given {
			return core.Errorf(core.KindInvalid, "--%s is given without %s", s.name, place).
				WithNext("say where the backups go in %s, or leave --%s out", place, s.name)
		}
	}
	return nil
}

type givenSetting struct {
	name  string
	given bool
}

func (n Node) checkObjectStore() error {
	if n.BackupS3Endpoint == "" {
		return nil
	}
	u, err := url.Parse(n.BackupS3Endpoint)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
		return core.Errorf(core.KindInvalid, "--backup-s3-endpoint is not the URL of an object store").
			WithNext("write https://HOST or https://HOST:PORT; the bucket and the keys have settings of their own")
	}
	if u.Scheme == "http" && !core.IsLoopbackHost(u.Hostname()) {
		return core.Errorf(core.KindInvalid, "--backup-s3-endpoint: http sends the control plane in clear to %s", u.Hostname()).WithNext("write https://%s", u.Host)
	}
	return firstOf(
		wanted("backup-s3-endpoint", "backup-s3-bucket", n.BackupS3Bucket, "the bucket of the store, which is there already"),
		wanted("backup-s3-endpoint", "backup-s3-access-key", n.BackupS3AccessKey, "a file that holds the id of the access key"),
		wanted("backup-s3-endpoint", "backup-s3-secret-key", n.BackupS3SecretKey, "a file that holds the secret key"),
	)
}
