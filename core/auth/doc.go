// Package auth decides which connections are accepted and which subjects they may
// use, and which signed requests are acted on. It is pure: a request goes in, a
// grant or a refusal with its reason comes out, and it asks only the directory of
// users and the store of nonces, behind small interfaces. core/bus carries grants
// out; core/admin and core/control check requests with it. Begin with
// Authenticator.Decide, then grants.go.
package auth
