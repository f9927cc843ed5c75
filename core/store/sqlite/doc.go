// Package sqlite is the core.Store of a single node: one SQLite file, its
// backup, and what a move to another store needs of it: rows in key order, the
// problems that would stop a move, a log of changes, a fence against writers.
// A Writer makes the new file of a rollback and of a backup.
//
// A file has one of two schemas. Version 1, the legacy one that a new database
// gets, knows no states of rooms and members and no records of epochs: a removed
// member is forgotten, every room is active, every rec is core.LegacyRec.
// Version 2, which a Writer makes of a KV control plane, knows them; it is
// served and moved in the same way. Users' ids may be in any case in old files and
// are handed out in upper case; the file is left as it is.
//
// A file is used only if its schema is exactly one that our own statements make
// (objects.go): whatever else a schema holds runs like a program. A backup may have
// one table more, with its signature, and is only read.
//
// Several processes may use one file at once, older binaries too. Every write
// transaction looks at the schema version again, because a move in another
// process may have raised the fence since the file was opened. Fence and log of
// changes are triggers in the file as well, which stop, or note, the writes of
// a program that knows of neither; Lift and Untrack leave nothing of them.
package sqlite
