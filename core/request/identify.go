package request

import "unibus/core/binding"

// Prover proves that a node belongs to the cluster; auth.Prover is one.
type Prover interface {
	Prove(channel, caller, nonce string) (key string, signature []byte, err error)
}

// Prove answers the question of a caller's client whether the node belongs to the cluster.
func Prove(p Prover, caller string, req binding.Request) (binding.Proof, error) {
	key, signature, err := p.Prove(req.Channel, caller, req.Nonce)
	return binding.Proof{Cluster: key, Signature: signature}, err
}
