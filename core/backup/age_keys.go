package backup

import (
	"bytes"
	"strings"

	"filippo.io/age"

	"unibus/core"
	"unibus/core/keys"
)

// ParseRecipients reads public keys of age. KindInvalid names the one that is none.
func ParseRecipients(texts []string) ([]age.Recipient, error) {
	var out []age.Recipient
	for _, text := range texts {
		some, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil || len(some) != 1 {
			return nil, core.Errorf(core.KindInvalid, "the backup recipient %.100q is not a public key of age", text).
				WithNext("give the key that age-keygen printed as the public one; it begins with age1")
		}
		out = append(out, some...)
	}
	return out, nil
}

// ReadIdentities reads a file of private keys of age; "" has none. No key is in an error.
func ReadIdentities(path string) ([]age.Identity, error) {
	if path == "" {
		return nil, nil
	}
	data, err := keys.ReadPrivate(path, "the age identity")
	if core.KindOf(err) == core.KindNotFound { // the advice is for seeds
		err = core.Errorf(core.KindInvalid, "the file of age identities %s does not exist", path).WithNext("give the file that age-keygen wrote")
	}
	if err != nil {
		return nil, err
	}
	ids, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil { // its text may hold a part of the file
		return nil, core.Errorf(core.KindInvalid, "%s is not a file of age identities", path).WithNext("give the file that age-keygen wrote")
	}
	return ids, nil
}
