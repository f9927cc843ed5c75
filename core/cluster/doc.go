// Package cluster observes the cluster and judges what it sees.
//
// An Observer asks every node over the system account once a second and makes a
// View of the answers: nodes, the meta group, buckets and their replicas. Judge
// turns a View into a verdict, a sentence and the next step. Diff turns two Views
// into events, which a Recorder keeps; an IncidentTracker makes incidents of all that.
//
// core/node runs one Observer; core/admin sends its View to operators, and the
// console shows it. Begin with view.go, then observer.go and judgment.go. All but
// the Observer is pure: the cases of testdata/judge.txt show every sentence,
// and testdata/incidents.txt what becomes of a sequence of Views.
package cluster
