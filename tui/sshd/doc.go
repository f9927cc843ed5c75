// Package sshd serves the console over SSH.
//
// Operators log in by their own ssh-ed25519 key, which is their nkey. The server has an identity of the role
// viewer: it shows what every operator may read, and can change nothing, whoever logs in. Decision 57 says why.
//
// cmd/unibus-tui opens a Server for `unibus-tui serve`. Begin reading with Server in server.go. connection.go
// bounds connections, session_requests.go is the part of SSH that is let through, operators.go decides who may
// log in, shared_client.go asks the nodes once for all sessions.
package sshd
