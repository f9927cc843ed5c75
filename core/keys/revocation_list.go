package keys

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"unibus/core"
)

// CRLFile is the list of revoked certificates that Revoke writes beside the authority.
const CRLFile = "routes.crl"

// Revocations are the certificates that authorities have revoked.
type Revocations struct {
	Number  int64            // of the first list; each list of an authority has a greater one than the last
	numbers map[string]int64 // by authority that is trusted; 0 without a list of it
	serials map[string]bool
	list    *x509.RevocationList // the first one
}

// Has is true where cert was revoked.
func (r *Revocations) Has(cert *x509.Certificate) bool {
	return r != nil && r.serials[cert.SerialNumber.String()]
}

// OlderThan is true where certificates that are revoked in last would be valid again: by
// an older list of an authority that is still trusted, or by none.
func (r *Revocations) OlderThan(last *Revocations) bool {
	for authority, number := range r.numbers {
		if last != nil && number < last.numbers[authority] {
			return true
		}
	}
	return false
}

// LoadRevocations reads certificate revocation lists (X.509; several in PEM, or one in
// DER). An authority in caPath must have signed one of them. Lists of other authorities do not
// count: their certificates are not trusted either. KindNotFound, KindInvalid.
func LoadRevocations(path, caPath string) (*Revocations, error) {
	cas, err := readCerts(caPath)
	if err != nil {
		return nil, err
	}
	data, err := readRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, core.Errorf(core.KindNotFound, "the list of revoked certificates %s does not exist", path).
			WithNext("check the path; `unibusd cert revoke` writes the list")
	}
	if err != nil {
		return nil, core.Errorf(core.KindFailed, "the list of revoked certificates %s cannot be read: %s", path, cause(err))
	}
	lists, err := parseLists(data)
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "%s holds no certificate revocation list", path).WithNext("`unibusd cert revoke` writes one")
	}
	r := &Revocations{serials: map[string]bool{}, numbers: map[string]int64{}}
	for _, ca := range cas {
		r.numbers[string(ca.SubjectKeyId)] = 0
	}
	for _, list := range lists {
		if slices.ContainsFunc(cas, func(ca *x509.Certificate) bool { return list.CheckSignatureFrom(ca) == nil }) {
			r.add(list)
		}
	}
	if r.list == nil {
		return nil, core.Errorf(core.KindInvalid, "the list of revoked certificates %s is not signed by the authority in %s", path, caPath).
			WithNext("replace %s by the list of that authority, %s beside its key; where it has revoked nothing, this makes one: `unibusd cert crl --ca DIR`", path, CRLFile)
	}
	return r, nil
}

func parseLists(data []byte) ([]*x509.RevocationList, error) {
	blocks, ok := pemBlocks(data)
	if len(blocks) == 0 && ok {
		blocks = []*pem.Block{{Bytes: data}} // DER
	}
	if !ok {
		return nil, core.Errorf(core.KindInvalid, "a list is cut off")
	}
	var lists []*x509.RevocationList
	for _, block := range blocks {
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	return lists, nil
}

func (r *Revocations) add(list *x509.RevocationList) {
	number := int64(0)
	if list.Number != nil && list.Number.IsInt64() {
		number = list.Number.Int64()
	}
	if r.list == nil {
		r.list, r.Number = list, number
	}
	authority := string(list.AuthorityKeyId)
	r.numbers[authority] = max(r.numbers[authority], number)
	for _, e := range list.RevokedCertificateEntries {
		r.serials[e.SerialNumber.String()] = true
	}
}

// Revoke adds the certificate in certPath to the list of the authority in caDir.
// KindInvalid where another authority issued it, or where the list that is there
// is not this authority's. A certificate that is in the list already changes nothing.
func Revoke(certPath, caDir string) error {
	ca, signer, err := readCA(caDir)
	if err != nil {
		return err
	}
	cert, err := readCert(certPath)
	if err != nil {
		return err
	}
	if cert.IsCA {
		return core.Errorf(core.KindInvalid, "%s is the certificate of an authority, which no list can revoke", certPath).
			WithNext("make a new authority, and give every node a certificate of it")
	}
	if cert.CheckSignatureFrom(ca) != nil {
		return core.Errorf(core.KindInvalid, "%s was not issued by the authority in %s", certPath, caDir).WithNext("give the directory of its authority with --ca")
	}
	old, err := issued(caDir)
	if err != nil || old.Has(cert) {
		return err
	}
	return writeList(caDir, old.next(ca, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: time.Now()}), ca, signer)
}

// WriteEmptyList makes a list of the authority in caDir that revokes nothing, unless there is
// a list. A node with --route-tls-crl needs one of each authority that it changes to.
func WriteEmptyList(caDir string) error {
	ca, signer, err := readCA(caDir)
	if err != nil {
		return err
	}
	old, err := issued(caDir)
	if err != nil || old.Number > 0 {
		return err
	}
	return writeList(caDir, old.next(ca), ca, signer)
}

// issued is the authority's last list; an empty one with the number 0 before the first.
func issued(caDir string) (*Revocations, error) {
	r, err := LoadRevocations(filepath.Join(caDir, CRLFile), filepath.Join(caDir, CACertFile))
	if core.KindOf(err) == core.KindNotFound {
		return &Revocations{list: &x509.RevocationList{}}, nil
	}
	return r, err
}

func writeList(caDir string, list *x509.RevocationList, ca *x509.Certificate, signer crypto.Signer) error {
	der, err := x509.CreateRevocationList(rand.Reader, list, ca, signer)
	if err != nil {
		return core.Errorf(core.KindFailed, "the list of revoked certificates could not be signed: %w", err)
	}
	path := filepath.Join(caDir, CRLFile)
	if err := errors.Join(Replace(path, pemOf("X509 CRL", der)), os.Chmod(path, 0o644)); err != nil { //nolint:gosec // it is public, as the certificates are
		return core.Errorf(core.KindFailed, "%s cannot be written: %s", path, cause(err))
	}
	return nil
}

// next is the list after this one. It stays valid for as long as the authority: an entry never becomes wrong.
func (r *Revocations) next(ca *x509.Certificate, more ...x509.RevocationListEntry) *x509.RevocationList {
	return &x509.RevocationList{
		Number:                    big.NewInt(r.Number + 1),
		ThisUpdate:                time.Now().Add(-backdate),
		NextUpdate:                ca.NotAfter,
		RevokedCertificateEntries: append(r.list.RevokedCertificateEntries, more...),
	}
}
