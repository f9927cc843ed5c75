// Package doctor checks a control plane in KV, and changes nothing. It checks whether every
// node's own replica of a bucket holds the same rows, and whether the rows fit together.
// core/node gives it the buckets, core/admin sends its report, `unibusd doctor` and
// core/guide show it. Begin reading with CheckReplicas.
package doctor
