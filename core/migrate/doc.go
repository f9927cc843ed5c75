// Package migrate moves a control plane from a node's SQLite file into the
// replicated store: preflight, backup, copy, verify on every node's own replica,
// fence, cutover. It knows its source and target only as small interfaces.
package migrate
