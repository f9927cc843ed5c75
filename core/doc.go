// Package core is the vocabulary of unibus: users, rooms, members, sealed room
// keys, the Store that keeps them, the authority that says which store counts,
// and the kinds of error that every other package returns. It imports the standard
// library alone, so that every package may import it. Begin with model.go and store.go.
package core
