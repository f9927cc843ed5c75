// Package cluster knows what the cluster looks like. Observe asks every node
// over the system account; Judge turns the answers into a verdict, the sentence
// an operator reads first, and what to do next. Judge is pure.
package cluster
