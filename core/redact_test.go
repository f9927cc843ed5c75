package core

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	someSeed   = "SUAFZQDX7PCWGLJJWV7HJO5YK4SHCY6OMVKM6OYESIGJDZSJRFB2VK62LI"
	somePublic = "UCD6G343TMTJESGDQYBH5AXBSUB2ZHIKVZ4WK4EGCIYYOKBXAE5CC67D"
)

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// TestRedact: no ten characters of a secret are left, whatever it is wrapped in.
func TestRedact(t *testing.T) {
	t.Parallel()
	pkcs8 := "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"
	for text, secret := range map[string]string{
		"the file " + someSeed + " does not exist":              someSeed,
		fmt.Sprintf("%q", "first line\n"+someSeed+"\n"):         someSeed,
		"UNIBUS_DATA=" + strings.ToLower(someSeed):              strings.ToLower(someSeed),
		"cut: " + someSeed[:45]:                                 someSeed[:45],
		"glued" + someSeed + "glued":                            someSeed,
		"SAA" + someSeed[3:] + " of an account":                 someSeed[3:],
		"data:;base64," + base64Of(someSeed):                    base64Of(someSeed),
		"Data:text/plain;base64," + base64Of("s3cret pass"):     base64Of("s3cret pass"),
		"base64 " + base64Of(someSeed+"\n") + " alone":          base64Of(someSeed),
		"nats://ana:hunter2hunter2@h:4222":                      "hunter2hunter2",
		"tls://hunter2hunter2@h":                                "hunter2hunter2",
		fmt.Sprintf("parse %q: bad", "nats://a:hunter2 \"x@h"):  "hunter2",
		"nats://a:one, nats://b:hunter2hunter2@h":               "hunter2hunter2",
		"nats://a:p@ss@word-of-ana@h:1":                         "word-of-ana",
		"-----BEGIN PRIVATE KEY-----\n" + pkcs8 + "\n-----END":  pkcs8,
		"a key of one line: " + pkcs8:                           pkcs8,
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLTEx": "c2lnbmF0dXJlLTEx",
	} {
		if got := Redact(text); leaks(got, secret) || !strings.Contains(got, redacted) {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := Errorf(KindInvalid, "%q is no address", "ana:hunter2hunter2@h").WithNext("not ana:hunter2hunter2@h"); leaks(got.Text+got.Next, "hunter2hunter2") {
		t.Errorf("an error says %q, %q", got.Text, got.Next)
	}
	for _, typed := range []string{`nats://a:one "hunter2hunter2 x@h:1`, `/tmp/nats:/a:hunter2hunter2@h`, fmt.Sprintf("%q is part of a list", "hunter2hunter2@h")} {
		if got := Errorf(KindInvalid, "%s is missing", typed); leaks(got.Text, "hunter2hunter2") {
			t.Errorf("an error says %q", got.Text)
		}
	}
	if got := AsError(errors.New("no " + someSeed)); leaks(got.Text, someSeed) {
		t.Errorf("a foreign error says %q", got.Text)
	}
}

// TestRedactLeavesTheRest: public data stays readable, and a document stays JSON.
func TestRedactLeavesTheRest(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		somePublic, "--operator " + somePublic + ":admin:ana", "unibus.admin.v1." + somePublic + ".any.status",
		"nats://127.0.0.1:4222,tls://[::1]:4222", "/tmp/TestRestoreOfAVeryLongDirectoryNameThatGoesOn/n1/unibus.db",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "metadata: a, b", "ana@example.org", "a:b@c is a user's name", "",
		"The Solution Is Superlatively Sound", "/srv/SolutionsForEverythingThatMatters/x",
	} {
		if got := Redact(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	doc, err := json.Marshal(map[string]string{"a": "nats://u:p@h", "b": someSeed, "c": "x@y", "d": "-----BEGIN PRIVATE KEY-----\nabc"})
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(Redact(string(doc))), &back); err != nil || back["c"] != "x@y" || back["a"] != "nats://"+redacted+"@h" || back["b"] != redacted {
		t.Errorf("%s became %v, %v", doc, back, err)
	}
}

// leaks says whether text has ten characters of secret, or all of a shorter one.
func leaks(text, secret string) bool {
	n := min(10, len(secret))
	for i := 0; i+n <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+n]) {
			return true
		}
	}
	return false
}

func FuzzRedact(f *testing.F) {
	f.Add("before ", " after")
	f.Add("nats://", "@h")
	f.Add("\"", "\\\"")
	f.Fuzz(func(t *testing.T, before, after string) {
		if got := Redact(before + someSeed + after); leaks(got, someSeed[:50]) {
			t.Errorf("%q", got)
		}
	})
}

func BenchmarkErrorf(b *testing.B) {
	for b.Loop() {
		_ = Errorf(KindRefused, "the signature of %s is wrong", "UCD6…C67D").WithNext("check that the seed belongs to this key")
	}
}
