package support_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"

	"unibus/core"
	"unibus/core/admin"
	"unibus/core/keys"
	"unibus/core/migrate"
	"unibus/core/support"
)

// fill puts a text into every string of a value, and one element into every list and map.
func fill(v reflect.Value, text string, depth int) {
	if depth > 14 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), text, depth+1)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text, depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e, k := reflect.New(v.Type().Elem()).Elem(), reflect.New(v.Type().Key()).Elem()
		fill(e, text, depth+1)
		fill(k, text, depth+1)
		v.SetMapIndex(k, e)
	case reflect.String:
		v.SetString(text)
	case reflect.Interface:
		if v.Type().NumMethod() == 0 {
			v.Set(reflect.ValueOf(map[string]any{text: text, "name": text, "error": text}))
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(7)
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	}
}

// documents are all documents of a bundle, with a text in every place that takes one.
func documents(text string) map[string]any {
	var st admin.Status
	var events admin.Events
	var moving migrate.Status
	var report support.Report
	for _, doc := range []any{&st, &events, &moving, &report} {
		fill(reflect.ValueOf(doc).Elem(), text, 0)
	}
	for _, setting := range []string{"tls-key", "routes", "operator", "webhook-url", "name", "listen"} {
		report.Config[setting] = []any{text, map[string]any{"key": text, "name": text, "role": text}}
	}
	for _, attr := range []string{"error", "reason", "remote", "token", "key", "url", "authorization", "passphrase"} {
		report.Log.Lines[0].Attrs[attr] = text
	}
	return map[string]any{
		"status.json": st, "events.json": events, "migration.json": moving, "node.json": report,
		"streams.json": map[string]any{"streams": st.Buckets, "lost": st.Lost, "seen": st.Streams},
		"audit.json":   map[string]any{"seq": 1, "node": text, "args": text, "name": text, "outcome": text},
	}
}

func pieces(secret string) []string {
	var out []string
	for i := 0; i+10 <= len(secret); i += 5 {
		out = append(out, secret[i:i+10])
	}
	return out
}

// TestNoSecretPassesTheFilter: a secret stays out, in whatever place of a document it is.
func TestNoSecretPassesTheFilter(t *testing.T) {
	t.Parallel()
	seed, _, err := keys.Generate()
	if err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(append(seed, '\n'))
	for name, c := range map[string]struct {
		text  string
		parts []string
	}{
		"a seed":                  {string(seed), pieces(string(seed))},
		"a seed in a sentence":    {"cannot read " + string(seed) + " here", pieces(string(seed))},
		"a URL with a password":   {"https://hook:hunter2quokka@hooks.example.org/x", []string{"hunter2", "quokka"}},
		"a route with a password": {"nats-route://n1:hunter2quokka@127.0.0.1:6222", []string{"hunter2", "quokka"}},
		"a password of a pair":    {"n1:hunter2quokka@127.0.0.1:6222", []string{"hunter2", "quokka"}},
		"a signed token":          {"Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlMTIz", []string{"eyJzdWIi", "c2lnbmF0"}},
		"a private key":           {"-----BEGIN PRIVATE KEY-----\n" + encoded + "\n-----END PRIVATE KEY-----\n", pieces(encoded)},
		"a seed in base64":        {encoded, pieces(encoded)},
		"an age identity":         {"AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", []string{"QQPZRY", "CE6MUA"}},
	} {
		for file, doc := range documents(c.text) {
			out, left, err := support.Filter(file, doc, support.Known{})
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range c.parts {
				if bytes.Contains(out, []byte(part)) {
					t.Errorf("%s: %s shows %s: %s", name, file, part, out)
				}
			}
			if left == 0 {
				t.Errorf("%s: nothing was left out of %s", name, file)
			}
		}
	}
}

// TestWhatIsNotListedStaysOut: a field that nobody thought of, and the content that operators and users choose.
func TestWhatIsNotListedStaysOut(t *testing.T) {
	t.Parallel()
	doc := map[string]any{
		"verdict": "healthy", "later": "opaque-password", "secrets": map[string]string{"opaque-key": "opaque-value"},
		"findings": []any{
			map[string]string{"level": "note", "about": "users", "text": "1 user ends within 14 days: opaque Olga on 2027-01-01."},
			map[string]string{"level": "note", "about": "node.n2", "text": "n2 is old. ana, ana-maria and banana drained it.", "opaque": "x"},
			map[string]string{"level": "note", "about": "ana", "text": "ana revoked UAAA…BBBB"},
			map[string]string{"level": "note", "about": "node.n1", "text": "n1 logs 40 times: a room was not told room=opaque name=opaque Olga error=broke user=UA by=opaque"},
		},
	}
	out, left, err := support.Filter("status.json", doc, support.Known{Operators: []string{"ana", "ana-maria"}})
	if err != nil || left != 5 { // later, secrets, the text about users, opaque, and about ana
		t.Errorf("%d left out, %v: %s", left, err, out)
	}
	for _, never := range []string{"opaque", `"ana"`, "ana-maria", " ana,"} {
		if strings.Contains(string(out), never) {
			t.Errorf("%s shows %s", out, never)
		}
	}
	for _, want := range []string{"[operator], [operator] and banana drained it", "room=[left out] name=[left out] error=broke user=UA by=[left out]", "UAAA…BBBB", `"verdict":"healthy"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s lacks %s", out, want)
		}
	}
}

// TestEveryListedFieldExists: a field that was renamed would silently be missing from bundles.
func TestEveryListedFieldExists(t *testing.T) {
	t.Parallel()
	for file, doc := range documents("n1") {
		if file == "audit.json" || file == "node.json" { // made of maps
			continue
		}
		whole := paths(t, doc)
		for _, path := range support.Paths(file) {
			if !whole[path] && !strings.HasSuffix(path, ".*") {
				t.Errorf("%s has no field %s", file, path)
			}
		}
	}
}

// paths are all fields of a document, as the list writes them.
func paths(t *testing.T, doc any) map[string]bool {
	t.Helper()
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		out[strings.TrimPrefix(at, ".")] = true
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				walk(at+"."+k, e)
			}
		case []any:
			for _, e := range v {
				walk(at, e)
			}
		}
	}
	walk("", v)
	return out
}

// TestBundle: a manifest says what is in it and what could not be had; every file is private.
func TestBundle(t *testing.T) {
	t.Parallel()
	b := &support.Bundle{Command: "1.2.3", Node: "n1", Made: 1_790_000_000_000}
	report, _, err := support.Filter("node.json", support.Report{
		Node: "n1", Config: map[string]any{"listen": "127.0.0.1:4222", "webhook": "https://u:p@x"},
		Log: support.Log{Lines: []support.Line{{At: 1_790_000_000_000, Level: "WARN", Text: "a line\nof two", Attrs: map[string]string{"error": "broke", "token": "opaque"}}}},
	}, support.Known{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AddReport(report, support.Known{}); err != nil {
		t.Fatal(err)
	}
	b.Missing("audit.json", core.Errorf(core.KindUnavailable, "no quorum"))
	var out bytes.Buffer
	if _, err := b.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, out.Bytes())
	for name, want := range map[string]string{
		"manifest.json": `"reason": "no quorum"`,
		"log.txt":       `2026-09-21T14:13:20.000Z WARN a line of two error="broke"` + "\n",
		"node.json":     `"listen": "127.0.0.1:4222"`,
		"fields.txt":    "node.json config.listen address",
	} {
		if got := files[name]; !strings.Contains(got, want) {
			t.Errorf("%s: %s", name, got)
		}
	}
	if strings.Contains(out.String()+files["node.json"]+files["log.txt"], "opaque") || strings.Contains(files["node.json"], "webhook") || strings.Contains(files["node.json"], `"lines"`) {
		t.Errorf("%v", files)
	}
}

func unpack(t *testing.T, data []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	r, files := tar.NewReader(z), map[string]string{}
	for {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil || h.Mode != 0o600 {
			t.Fatalf("%v, mode %o", err, h.Mode)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "unibus-support/")] = string(text)
	}
}

// FuzzFilter: no document panics, and the output is JSON.
func FuzzFilter(f *testing.F) {
	f.Add(`{"verdict":1,"nodes":[{"name":["x"],"info":7}]}`, "ana")
	f.Add(`[]`, "[operator]")
	f.Fuzz(func(t *testing.T, doc, name string) {
		if !json.Valid([]byte(doc)) {
			return
		}
		out, _, err := support.Filter("status.json", json.RawMessage(doc), support.Known{Operators: []string{name}, Nodes: []string{name}})
		if err == nil && !json.Valid(out) {
			t.Errorf("%s", out)
		}
	})
}
