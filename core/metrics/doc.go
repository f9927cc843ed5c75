// Package metrics serves what monitoring asks of a node over HTTP: /metrics as
// Prometheus reads it, /healthz (the process answers) and /readyz (the node admits
// users). core/node opens a Server where --metrics-listen is given, and hands it a
// function that takes a Sample: the node's view of the cluster, as operators see it in
// status, and its own counters.
//
// There is neither TLS nor a login: the answers name nodes, buckets and files, and
// hold no keys, users or rooms. Begin reading at Server, then samples.go, which has
// every metric.
package metrics
