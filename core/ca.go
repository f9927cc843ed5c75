package core

// CA is a certificate authority that a program verifies others by.
type CA struct {
	ID    string `json:"id"` // of its key, in hexadecimal: openssl's subjectKeyIdentifier
	From  Millis `json:"from"`
	Until Millis `json:"until"`
}

// ShortCA is as much of a CA's ID as people compare.
func ShortCA(id string) string { return id[:min(len(id), 8)] }

// CABundle is a file of CAs.
type CABundle struct {
	File  string
	CAs   []CA
	Fault string // why the file as it is now cannot be used
}
