// Package auth decides who may connect and what they may touch. It is pure: a
// request goes in, a grant or a refusal with its reason comes out, and the only
// thing it asks is the directory of users behind a small interface. The server
// that carries a grant out is core/bus.
package auth
