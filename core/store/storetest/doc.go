// Package storetest is the one suite that every backend of core.Store passes,
// and the sample control planes that its callers and the migration's tests
// share. It asks only what core/store.go promises, so that a backend with
// states and records (KV) and one without (SQLite version 1) both fit.
package storetest
