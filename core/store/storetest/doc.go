// Package storetest is the suite that every backend of core.Store passes, and the
// sample control planes that the tests of its callers and of the migration share.
// Tests alone call it. It checks what core/store.go promises, so that a backend
// with states and records (KV) and one without (SQLite version 1) both fit. Begin
// with Run in suite.go.
package storetest
