// Package guide turns what is known of a cluster into a checklist: what to do, in which
// order, and which of it is done. It is pure: facts in, steps out, nothing stored. A guide
// may be left and called again at any time. `unibusd guide` and the console show it. Begin
// reading with All, then with restart.go, which is the model of the others.
package guide
