package seal

import (
	"crypto/ed25519"
	"encoding/base32"

	"unibus/core"
)

// Signer is a user's identity: its public nkey, and the signature of its seed. keys.Identity is one.
type Signer interface {
	Public() string
	Sign(data []byte) ([]byte, error)
}

// verifySignature reports whether a user signed exactly L(what) ‖ parts. The
// Ed25519 key is inside the user's id, after a prefix of one byte.
func verifySignature(u core.UserID, signature []byte, what string, parts ...[]byte) bool {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(u))
	if err != nil || len(raw) != 1+ed25519.PublicKeySize+2 {
		return false
	}
	return ed25519.Verify(raw[1:1+ed25519.PublicKeySize], signedBytes(what, parts...), signature)
}

// signerID is the id of a Signer.
func signerID(s Signer) (core.UserID, error) {
	if s == nil {
		return "", errInvalid("there is no identity to sign with")
	}
	return core.ParseUserID(s.Public())
}

// appendSignature appends the signature of L(what) ‖ parts to b.
func appendSignature(b []byte, s Signer, what string, parts ...[]byte) ([]byte, error) {
	sig, err := s.Sign(signedBytes(what, parts...))
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the identity cannot sign: %w", err)
	}
	if len(sig) != signatureSize {
		return nil, core.Errorf(core.KindFailed, "the identity signs with %d bytes, it must be %d", len(sig), signatureSize)
	}
	return append(b, sig...), nil
}

// signedBytes is L(what) ‖ parts.
func signedBytes(what string, parts ...[]byte) []byte {
	b := label(what)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
