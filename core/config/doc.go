// Package config turns defaults, a TOML file, the environment and flags into
// the settings of one node, each overriding the one before. It is the only
// reader of the environment and of configuration files, so that every other
// part can be given its settings as values.
//
// A setting has one name everywhere: --tls-cert on the command line,
// UNIBUS_TLS_CERT in the environment, tls-cert in the file. Lists replace, they
// are never joined: operators given as flags stand for all operators.
//
// Paths in the file are relative to the directory of the file, all others to
// the working directory; Load makes them absolute. Unknown keys of the file,
// unknown flags and unknown variables that begin with UNIBUS_ are refused, but
// for those that a container platform invents for a service of that name.
package config
