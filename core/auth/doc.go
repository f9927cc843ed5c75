// Package auth decides which connections are accepted and which subjects they may use,
// and which signed requests are acted on. It does no I/O of its own: a request goes in,
// a grant or a refusal with its reason comes out. It reads only the directory of users
// and the store of nonces, behind small interfaces. core/bus carries grants out;
// core/admin and core/control check requests with it. Begin with Authenticator.Decide,
// then grants.go.
package auth
