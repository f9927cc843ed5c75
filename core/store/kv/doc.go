// Package kv is the core.Store on replicated JetStream: five KV buckets, one for
// each table, and beside them the buckets of control records and of nonces.
// core/node opens it and core/migrate fills it through interfaces of its own.
//
// Every write expects the guard of its bucket, and every read that decides comes
// from memory and is proven by a barrier. DESIGN.md says why, and how the buckets
// are laid out. Begin with store.go, then reads.go and guard.go;
// bucket_client.go sends.
package kv
