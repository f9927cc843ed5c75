package auth

import (
	"crypto/rand"
	"encoding/hex"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// proofDomain keeps these signatures apart from all others.
const proofDomain = "\xffunibus.cluster.v1"

// Challenge is signed by the cluster, so that a client knows which cluster it is
// connected to: the proof cannot be passed on to another connection or another
// client.
type Challenge struct {
	Cluster string  // the cluster's public key
	Channel Channel // the connection as the client sees it
	Caller  string  // the client's public key
	Nonce   string  // the client's, 16 to 64 letters and digits
}

// NewChallengeNonce makes a nonce for a challenge.
func NewChallengeNonce() string {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand never fails: it ends the program instead
	return hex.EncodeToString(nonce[:])
}

// Bytes is the one encoding that is signed.
func (c Challenge) Bytes() []byte {
	return fields(proofDomain, []byte(c.Cluster), c.Channel[:], []byte(c.Caller), []byte(c.Nonce))
}

// Verify is nil where the holder of the cluster's key signed this challenge.
// KindRefused.
func (c Challenge) Verify(signature []byte) error {
	kp, err := nkeys.FromPublicKey(c.Cluster)
	if err != nil || !nkeys.IsValidPublicClusterKey(c.Cluster) {
		return core.Errorf(core.KindRefused, "the node names %.64q, which is not a cluster's public key", c.Cluster)
	}
	if err := kp.Verify(c.Bytes(), signature); err != nil {
		return core.Errorf(core.KindRefused, "the node does not prove that it belongs to the cluster with the key %s: the connection may be relayed", c.Cluster).
			WithNext("send nothing more over it; check the address with --server and the authority with --tls-ca")
	}
	return nil
}

// Prover answers challenges for a cluster.
type Prover struct {
	// Key is the cluster's key; false while this node does not know it.
	Key func() (Signer, bool)
	// IsClusterChannel says whether a channel is one of this cluster's nodes.
	IsClusterChannel func(Channel) bool
}

// Signer is a key that signs.
type Signer interface {
	Public() string
	Sign(data []byte) ([]byte, error)
}

// Prove signs a challenge. KindRefused where the client sees a certificate that
// none of the nodes shows, KindInvalid for an invalid nonce, KindUnavailable where
// this node does not know the cluster's key yet.
func (p Prover) Prove(channel, caller, nonce string) (key string, signature []byte, err error) {
	seen, ok := parseChannel(channel)
	if !ok || !validNonce(nonce) {
		return "", nil, core.Errorf(core.KindInvalid, "the challenge cannot be read")
	}
	if !p.IsClusterChannel(seen) {
		return "", nil, foreignChannel()
	}
	signer, ok := p.Key()
	if !ok {
		return "", nil, core.Errorf(core.KindUnavailable, "this node does not know the cluster's key yet").
			WithNext("wait for a majority of the nodes; `unibus-tui status` names the missing nodes")
	}
	c := Challenge{Cluster: signer.Public(), Channel: seen, Caller: caller, Nonce: nonce}
	signature, err = signer.Sign(c.Bytes())
	return c.Cluster, signature, err
}

// foreignChannel refuses a request that was relayed.
func foreignChannel() *core.Error {
	return core.Errorf(core.KindRefused, "the request was sent over a connection that shows another certificate than the nodes of this cluster: it was relayed").
		WithNext("check the address with --server, and the authority with --tls-ca; if a node's certificate was just renewed, try again in a few seconds")
}
