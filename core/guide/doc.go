// Package guide makes a checklist of the state of a cluster: the steps, their order, and
// which of them are done. It is pure: facts in, steps out, nothing stored. A guide may be
// left and called again at any time. `unibusd guide` and the console show it. Begin
// reading with All, then with restart.go, which is the model of the others.
package guide
