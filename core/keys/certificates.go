package keys

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// The names of the files that WriteCA and NodeCert write.
const (
	CACertFile   = "ca.crt"
	CAKeyFile    = "ca.key"
	NodeCertFile = "node.crt"
	NodeKeyFile  = "node.key"
)

// How long certificates are valid: an authority ten years, a node 825 days,
// which is the most that common TLS clients accept.
const (
	caDays   = 3650
	nodeDays = 825
)

// backdate is how far in the past validity begins, for machines whose clocks differ.
const backdate = time.Hour

// CAName is the name of an authority that WriteCA made. Such a one signs no other authority.
const CAName = "unibus CA"

// WriteCA makes a certificate authority for one cluster: ca.crt and ca.key
// (mode 0600) in dir, which must be there. KindExists where either file is.
func WriteCA(dir string) error {
	if err := absent(filepath.Join(dir, CACertFile), filepath.Join(dir, CAKeyFile)); err != nil {
		return err
	}
	tmpl, err := template(CAName, caDays)
	if err != nil {
		return err
	}
	tmpl.IsCA = true
	tmpl.BasicConstraintsValid = true
	tmpl.MaxPathLenZero = true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return issue(tmpl, nil, nil, filepath.Join(dir, CACertFile), filepath.Join(dir, CAKeyFile))
}

// NameFromHosts is the name of a node that is reached by some hosts: the first
// label of the first one. It is "" where that is an address or no node's name.
func NameFromHosts(hosts []string) string {
	if len(hosts) == 0 || net.ParseIP(hosts[0]) != nil {
		return ""
	}
	label, _, _ := strings.Cut(hosts[0], ".")
	name, err := core.ParseNodeName(label)
	if err != nil {
		return ""
	}
	return name
}

// NodeCert makes the certificate of the node name, signed by the authority
// in caDir: node.crt and node.key (mode 0600) in outDir, which must be there.
// Hosts are the DNS names and IP addresses by which other nodes and clients reach
// it; the certificate serves both ends of a mutual-TLS route. With the name ""
// it is for clients alone: routes need one. KindInvalid for an impossible name or
// host, KindExists where either file is.
func NodeCert(caDir, name string, hosts []string, outDir string) error {
	tmpl, err := template("unibus node", nodeDays)
	if err != nil {
		return err
	}
	if name != "" {
		if _, err := core.ParseNodeName(name); err != nil {
			return err
		}
		tmpl.URIs = []*url.URL{{Scheme: "unibus", Host: "node", Path: "/" + name}}
	}
	if err := addHosts(tmpl, hosts); err != nil {
		return err
	}
	if err := absent(filepath.Join(outDir, NodeCertFile), filepath.Join(outDir, NodeKeyFile)); err != nil {
		return err
	}
	ca, caKey, err := readCA(caDir)
	if err != nil {
		return err
	}
	if tmpl.NotAfter.After(ca.NotAfter) {
		tmpl.NotAfter = ca.NotAfter // a longer one would only promise what the authority cannot keep
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return issue(tmpl, ca, caKey, filepath.Join(outDir, NodeCertFile), filepath.Join(outDir, NodeKeyFile))
}

// CertCommand is the command that makes a certificate for a node. An unknown value stays a word in capitals.
func CertCommand(node string, hosts []string) string {
	return fmt.Sprintf("unibusd cert node --name %s --host %s --ca DIR --out DIR", cmp.Or(node, "NAME"), cmp.Or(strings.Join(hosts, ","), "HOST"))
}

// mostHosts bounds how many hosts of a certificate are shown.
const mostHosts = 8

// CertHosts are the hosts that a certificate was made for, if they can be shown and pasted:
// a server that is not trusted may have chosen them.
func CertHosts(cert *x509.Certificate) []string {
	var hosts []string
	for _, name := range cert.DNSNames {
		if hostName(name) {
			hosts = append(hosts, name)
		}
	}
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts[:min(len(hosts), mostHosts)]
}

// NodeName is the name of the node for which a certificate was made (the URI
// unibus://node/NAME), "" where it names none or more than one.
func NodeName(cert *x509.Certificate) string {
	name := ""
	for _, u := range cert.URIs {
		if u.Scheme != "unibus" || u.Host != "node" {
			continue
		}
		n, err := core.ParseNodeName(strings.TrimPrefix(u.Path, "/"))
		if err != nil || name != "" {
			return ""
		}
		name = n
	}
	return name
}

func template(name string, days int) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "no serial number could be made: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.AddDate(0, 0, days),
	}, nil
}

func addHosts(tmpl *x509.Certificate, hosts []string) error {
	if len(hosts) == 0 {
		return core.Errorf(core.KindInvalid, "a node's certificate needs at least one host").
			WithNext("name every DNS name and IP address by which the node is reached: --host n1.example.org,192.0.2.1")
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
			continue
		}
		if !hostName(h) {
			return core.Errorf(core.KindInvalid, "%q is neither a DNS name nor an IP address", h).
				WithNext("give it without scheme and port: --host n1.example.org,192.0.2.1")
		}
		tmpl.DNSNames = append(tmpl.DNSNames, h)
	}
	return nil
}

// hostName says whether h is a DNS name of letters, digits and inner hyphens.
// Wildcards are not: a node's certificate is for that node. Neither are names
// whose last label is a number: those are mistyped addresses.
func hostName(h string) bool {
	if len(h) == 0 || len(h) > 253 {
		return false
	}
	labels := strings.Split(h, ".")
	for _, label := range labels {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// absent is KindExists where one of the files is there, so that a pair is written whole or not at all.
func absent(paths ...string) error {
	for _, p := range paths {
		if _, err := os.Lstat(p); err == nil {
			return core.Errorf(core.KindExists, "%s is there already and is not overwritten", p).
				WithNext("give another directory, or move the file away if it is no longer needed")
		}
	}
	return nil
}

// issue makes a key, signs tmpl (by itself where there is no parent) and writes both. The key goes first:
// a certificate without its key is of no use and would stand in the way of the next try.
func issue(tmpl, parent *x509.Certificate, signer crypto.Signer, certPath, keyPath string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return core.Errorf(core.KindFailed, "no key could be made: %w", err)
	}
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		return core.Errorf(core.KindFailed, "the certificate %s could not be signed: %w", certPath, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return core.Errorf(core.KindFailed, "the key %s could not be encoded: %w", keyPath, err)
	}
	if err := writeNew(keyPath, pemOf("PRIVATE KEY", keyDER), 0o600); err != nil {
		return err
	}
	if err := writeNew(certPath, pemOf("CERTIFICATE", der), 0o644); err != nil {
		_ = os.Remove(keyPath)
		return err
	}
	return nil
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func readCA(dir string) (*x509.Certificate, crypto.Signer, error) {
	certPath, keyPath := filepath.Join(dir, CACertFile), filepath.Join(dir, CAKeyFile)
	for _, p := range []string{certPath, keyPath} {
		if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) {
			return nil, nil, core.Errorf(core.KindNotFound, "there is no certificate authority in %s: %s is missing", dir, filepath.Base(p)).
				WithNext("make one with `unibusd cert ca --out %s`", core.ShellQuote(dir))
		}
	}
	cert, err := readCert(certPath)
	if err != nil {
		return nil, nil, err
	}
	if !cert.IsCA {
		return nil, nil, core.Errorf(core.KindInvalid, "%s is not the certificate of an authority", certPath)
	}
	if time.Now().After(cert.NotAfter) {
		return nil, nil, core.Errorf(core.KindRefused, "the authority %s expired on %s", certPath, cert.NotAfter.Format(time.DateOnly)).
			WithNext("make a new one and give every node a certificate of it")
	}
	keyPEM, err := readPrivate(keyPath, "the authority's key")
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(pemOf("CERTIFICATE", cert.Raw), keyPEM)
	if err != nil {
		return nil, nil, core.Errorf(core.KindInvalid, "%s and %s do not belong together or are damaged", certPath, keyPath)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, core.Errorf(core.KindInvalid, "%s holds a key that cannot sign", keyPath)
	}
	return cert, signer, nil
}

// readCert reads the first certificate of a PEM file.
func readCert(path string) (*x509.Certificate, error) {
	certs, err := readCerts(path)
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

// readCerts reads every certificate of a PEM file, at least one.
func readCerts(path string) ([]*x509.Certificate, error) {
	data, err := readRegular(path)
	if err != nil {
		return nil, certUnreadable(path, err)
	}
	blocks, ok := pemBlocks(data)
	damaged := core.Errorf(core.KindInvalid, "a certificate in %s is damaged", path).WithNext("copy the file again, whole")
	if !ok {
		return nil, damaged
	}
	var certs []*x509.Certificate
	for _, block := range blocks {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, damaged
		}
		certs = append(certs, cert)
	}
	if len(certs) > 0 {
		return certs, nil
	}
	return nil, core.Errorf(core.KindInvalid, "%s holds no certificate in PEM form", path).
		WithNext("give a certificate: that of a CA is in its %s, that of a node in its %s", CACertFile, NodeCertFile)
}

// pemBlocks returns the blocks of a file. It is false where one is damaged or cut off:
// pem.Decode skips those in silence.
func pemBlocks(data []byte) (blocks []*pem.Block, ok bool) {
	rest := data
	for block, next := pem.Decode(rest); block != nil; block, next = pem.Decode(rest) {
		blocks, rest = append(blocks, block), next
	}
	return blocks, bytes.Count(data, []byte("-----BEGIN")) == len(blocks) && !bytes.Contains(rest, []byte("-----"))
}

func certUnreadable(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return core.Errorf(core.KindNotFound, "the certificate file %s does not exist", path).WithNext("check the path")
	}
	return core.Errorf(core.KindFailed, "the certificate file %s cannot be read: %s", path, cause(err))
}

// pairCommand makes a pair like that of a certificate whose key is missing, as far as it can be read.
func pairCommand(certPEM []byte) string {
	if block, _ := pem.Decode(certPEM); block != nil {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			return CertCommand(NodeName(cert), CertHosts(cert))
		}
	}
	return CertCommand("", nil)
}

// isOutOfOrder is true of a file that has the certificate of the key, after others.
func isOutOfOrder(certPEM, keyPEM []byte) bool {
	blocks, _ := pemBlocks(certPEM)
	return slices.ContainsFunc(blocks, func(b *pem.Block) bool {
		_, err := tls.X509KeyPair(pem.EncodeToMemory(b), keyPEM)
		return err == nil
	})
}

// readRegular reads a file. A pipe in its place would hold the program up for ever.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	return os.ReadFile(path)
}

var errNotRegular = errors.New("it is not a regular file")

// LoadAuthorities reads every certificate of a PEM file, at least one. KindNotFound, KindInvalid.
func LoadAuthorities(path string) ([]*x509.Certificate, error) { return readCerts(path) }

// LoadPool reads the authorities to be trusted from a PEM file. A file of which a part is
// damaged is refused whole. KindNotFound, KindInvalid.
func LoadPool(path string) (*x509.CertPool, error) {
	certs, err := readCerts(path)
	if err != nil {
		return nil, err
	}
	return Pool(certs), nil
}

// Pool makes authorities to be trusted of certificates.
func Pool(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool
}

// checkPEM refuses a file without a block whose type ends so. A file of the other kind is
// named: the two settings may be exchanged.
func checkPEM(path string, data []byte, suffix, what string) error {
	blocks, whole := pemBlocks(data)
	if !whole || slices.ContainsFunc(blocks, func(b *pem.Block) bool { return strings.HasSuffix(b.Type, suffix) }) {
		return nil // a damaged file has an error of its own
	}
	if len(blocks) > 0 {
		return core.Errorf(core.KindInvalid, "%s holds no %s, but this: %s", path, what, blocks[0].Type).
			WithNext("give the certificate and its private key each in its own setting; they may be exchanged")
	}
	return core.Errorf(core.KindInvalid, "%s holds no %s in PEM form", path, what).
		WithNext("give the file that `unibusd cert node` has written; one in DER form is converted with openssl")
}

// LoadPair reads a certificate and its key. KindNotFound where a file is missing,
// KindInvalid where they are damaged or do not belong together, KindRefused
// where others may read the key.
func LoadPair(certPath, keyPath string) (*tls.Certificate, error) {
	certPEM, err := readRegular(certPath)
	if err != nil {
		return nil, certUnreadable(certPath, err)
	}
	if err := checkPEM(certPath, certPEM, "CERTIFICATE", "certificate"); err != nil {
		return nil, err
	}
	if _, err := os.Stat(keyPath); errors.Is(err, fs.ErrNotExist) {
		return nil, core.Errorf(core.KindNotFound, "the key file %s does not exist", keyPath).WithNext("check the path")
	}
	keyPEM, err := readPrivate(keyPath, "the key file")
	if err != nil {
		return nil, err
	}
	if err := checkPEM(keyPath, keyPEM, "PRIVATE KEY", "private key"); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil && isOutOfOrder(certPEM, keyPEM) {
		return nil, core.Errorf(core.KindInvalid, "the certificate of the key %s is in %s, but it is not the first one there", keyPath, certPath).
			WithNext("put the node's own certificate first, and those of its authorities after it")
	}
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "the certificate %s and the key %s do not belong together or are damaged", certPath, keyPath).
			WithNext("give the key that was made with the certificate, or make a pair with `%s`", pairCommand(certPEM))
	}
	return &pair, nil
}
