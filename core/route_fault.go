package core

// RouteFault is why one node cannot open a route to another. "" where it can.
type RouteFault string

// NotYetValid ends the detail of FaultCertificate where the certificate's time has not come.
const NotYetValid = "which is in the future"

// UnknownAuthority is in the detail of FaultOwnCertificate where the other node has no CA that
// signed the certificate: the words of crypto/tls for that alert.
const UnknownAuthority = "unknown certificate authority"

// OtherCluster begins the detail of FaultForeign where a node of another cluster answers.
const OtherCluster = "a server of the cluster "

// The faults of a route, from the name to the answer.
const (
	FaultUnresolved     RouteFault = "unresolved"      // the name has no address
	FaultRefused        RouteFault = "refused"         // the host is up, and no process listens
	FaultUnreachable    RouteFault = "unreachable"     // a router or the own host knows no way
	FaultTimeout        RouteFault = "timeout"         // the host does not reply
	FaultHung           RouteFault = "hung"            // connections are accepted, and nothing is said on them
	FaultClosed         RouteFault = "closed"          // connections are accepted and closed
	FaultForeign        RouteFault = "foreign"         // another program answers
	FaultCertificate    RouteFault = "certificate"     // the certificate of the other node is refused
	FaultOwnCertificate RouteFault = "own-certificate" // the other node refuses the certificate of this one
	FaultRouteToItself  RouteFault = "itself"          // the address is the node's own
)
