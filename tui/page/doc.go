// Package page is the contract between the console and its pages, and the few
// things that several pages draw alike. A page holds what the operator is
// looking at (a cursor, an open detail), never what the cluster is: that comes
// with every Scene. Pages never import each other.
package page
