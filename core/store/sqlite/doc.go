// Package sqlite is the core.Store of a single node: one SQLite file, its backup, and
// the file's part in a migration: rows in key order, the problems that would stop it, a
// log of changes, a fence against writers. core/node, core/backup, core/demo and
// `unibusd user --db` call it. Begin with store.go, then schema.go.
//
// A file has schema version 1 (legacy: no states, no records of epochs) or 2. It is
// used only if its schema is exactly one that our own statements make
// (schema_check.go). Several processes may use it at once, older binaries too, so
// every write transaction checks the schema version again, and fence and log of
// changes are triggers in the file.
package sqlite
