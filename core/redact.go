package core

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
)

// Redact returns text without anything that looks like a secret: nkey seeds, also
// inside base64; private keys; `data:` URIs; signed tokens; and everything before
// the @ of a URL. It leaves public keys as they are, and rather removes too much
// than too little. A password without a shape of its own cannot be found here:
// code that reads one must not put it into a text.
func Redact(text string) string {
	if !suspicious(text) {
		return text
	}
	text = privateKey.ReplaceAllString(text, redacted)
	text = dataURI.ReplaceAllString(text, "data:"+redacted)
	text = userInfo.ReplaceAllString(text, "$1"+redacted+"@")
	text = token.ReplaceAllString(text, redacted)
	text = seed.ReplaceAllString(text, redacted)
	return base64Word.ReplaceAllStringFunc(text, func(word string) string {
		if hidesSecret(word) {
			return redacted
		}
		return word
	})
}

// redacted replaces a secret.
const redacted = "[redacted]"

var (
	// A whole seed has 58 characters wherever it stands, two more than a public key. A word that begins as a seed does counts when it is cut short, too.
	seed = regexp.MustCompile(`(?i:s[acnoupx][a-z2-7]{56,})|\bS[ACNOUPX][A-Z2-7]{28,}|\bP[A-Z2-7]{90,}`)
	// The user part may hold any character; a text in quotes ends at the next quote that is not escaped.
	userInfo   = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]+:/{1,2})(?:[^"\\\n]|\\.)*@`)
	valueInfo  = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]+:/{1,2})[^\n]*@`) // a path that was cleaned has one slash
	quotedPart = regexp.MustCompile(`"(?:[^"\\]|\\.)*@`)
	barePair   = regexp.MustCompile(`(^|[\s"'=(,])[^\s"'@:/]+:(?:[^/\s"'@][^\s"'@]*)?@`) // user:password@host
	dataURI    = regexp.MustCompile(`(?i)\bdata:[^,\s"']*,[^\s"'\x60\\]+`)
	privateKey = regexp.MustCompile(pemHead + `(?:[^"\\]|\\.)*?-----+END[ A-Z]*-----+|` + pemHead + `(?:[^"\\]|\\.)*|AGE-SECRET-KEY-[0-9A-Z]+`)
	token      = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)
	base64Word = regexp.MustCompile(`[A-Za-z0-9+/_-]{40,}`)
)

const pemHead = `-----BEGIN[ A-Z]*(?:PRIVATE KEY|SEED)-----`

// leastWord is the shortest word that can be a secret of the shapes above.
const leastWord = 30

// suspicious is a fast check that lets almost every text pass: errors are made in
// hot paths.
func suspicious(text string) bool {
	word := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '@', c == ',' && strings.Contains(text, ":"):
			return true
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '+', c == '/', c == '-', c == '_', c == '.':
			if word++; word >= leastWord {
				return true
			}
		default:
			word = 0
		}
	}
	return strings.Contains(text, "-----BEGIN")
}

// hidesSecret is true where a word is the base64 of a seed or of a private key.
func hidesSecret(word string) bool {
	word = strings.NewReplacer("-", "+", "_", "/").Replace(word)
	raw, err := base64.RawStdEncoding.DecodeString(word[:len(word)/4*4])
	return err == nil && (seed.Match(raw) || privateDER(raw) || bytes.Contains(raw, []byte("PRIVATE KEY-----")))
}

// privateDER finds PKCS #8, PKCS #1 and SEC 1: a sequence that begins with
// the version 0 or 1. A certificate begins with another sequence.
func privateDER(raw []byte) bool {
	if len(raw) < 8 || raw[0] != 0x30 {
		return false
	}
	head := 2
	if raw[1]&0x80 != 0 {
		head += int(raw[1] & 0x7f)
	}
	return head <= 4 && bytes.HasPrefix(raw[head:], []byte{2, 1, 0}) || head <= 4 && bytes.HasPrefix(raw[head:], []byte{2, 1, 1})
}

// RedactValue is Redact for one value or sentence that is not yet part of a document: a typed
// text, or the text of an error. A quote ends nothing in it, and user:password@host counts without
// a scheme, and as a part of such a value that stands in quotes.
func RedactValue(text string) string {
	if strings.Contains(text, "@") {
		text = valueInfo.ReplaceAllString(text, "$1"+redacted+"@")
		text = barePair.ReplaceAllString(text, "$1"+redacted+"@")
		text = quotedPart.ReplaceAllString(text, `"`+redacted+"@")
	}
	return Redact(text)
}
