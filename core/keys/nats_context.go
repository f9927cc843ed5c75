package keys

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"

	"unibus/core"
)

// Context has the fields that unibus takes from a context of the NATS CLI; a field that the context
// lacks is empty.
type Context struct {
	Servers  []string // URLs
	Seed     string   // the nkey's seed file
	Identity Identity // the nkey itself, where the context or a variable of the environment holds it
	CA       string   // the certificate file of the authority to trust
	TLSFirst bool     // begin with TLS

	ClusterKey string // of the field unibus_cluster_key, which the NATS CLI leaves out when it writes the context anew
}

// ReadContext reads a context of the NATS CLI by its name, from
// <config>/nats/context/NAME.json. It reads an nkey as that CLI does: a file, with
// or without file://, base64 after `data:`, and env://NAME. KindInvalid where the
// context cannot be used, KindRefused where it holds a seed and others can read it.
func ReadContext(name string) (Context, error) {
	out, err := readContext(name)
	if err != nil {
		e := core.AsError(err)
		if e.Next == "" {
			e.Next = "`nats context ls` lists them; or name servers, seed file and authority one by one"
		}
		return Context{}, core.Errorf(e.Kind, "the NATS context %s cannot be used: %s", name, e.Text).WithNext("%s", e.Next)
	}
	return out, nil
}

func readContext(name string) (Context, error) {
	path, err := contextPath(name)
	if err != nil {
		return Context{}, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Context{}, core.Errorf(core.KindInvalid, "%s: %s", path, cause(err))
	}
	var found struct {
		URL  string `json:"url"`
		NKey string `json:"nkey"`
		CA   string `json:"ca"`

		ClusterKey string `json:"unibus_cluster_key"`
		TLS        bool   `json:"tls_first"`
	}
	if err := json.Unmarshal(data, &found); err != nil {
		return Context{}, notAContext(path, err)
	}
	out := Context{TLSFirst: found.TLS, ClusterKey: found.ClusterKey}
	if found.URL != "" {
		out.Servers = strings.Split(found.URL, ",")
		if err := CheckServers("its url", out.Servers); err != nil {
			return Context{}, err
		}
	}
	if out.CA, err = contextFile("ca", found.CA); err != nil {
		return Context{}, err
	}
	return out, out.takeKey(path, found.NKey)
}

func contextPath(name string) (string, error) {
	if strings.ContainsAny(name, "/\\") {
		return "", core.Errorf(core.KindInvalid, "a name has no slashes")
	}
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "nats", "context", name+".json"), nil
}

// WriteContext writes a new context of the NATS CLI, for that CLI and for unibus, and returns the file. It has
// mode 0600 and holds paths, never a seed. KindExists for a name that is there already, which is left alone.
func WriteContext(name string, c Context) (string, error) {
	path, err := contextPath(name)
	if err != nil {
		return "", err
	}
	data, err := json.MarshalIndent(map[string]any{
		"description": "unibus", "url": strings.Join(c.Servers, ","), "nkey": c.Seed, "ca": c.CA,
		"tls_first": c.TLSFirst, "unibus_cluster_key": c.ClusterKey,
	}, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", core.Errorf(core.KindFailed, "the directory of %s cannot be made: %s", path, cause(err))
	}
	return path, writeNew(path, append(data, '\n'), 0o600)
}

// Contexts are the names of the contexts of the nats CLI on this machine.
func Contexts() []string {
	pattern, err := contextPath("*")
	if err != nil {
		return nil
	}
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".json")
	}
	return files
}

// notAContext says what is wrong with the text. The decoder's own words are left
// out: they repeat parts of a file that may hold a password.
func notAContext(path string, err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return core.Errorf(core.KindInvalid, "%s: its %s is not what belongs there", path, kind.Field)
	}
	return core.Errorf(core.KindInvalid, "%s is not JSON", path)
}

// takeKey takes the nkey, which a context names or holds.
func (c *Context) takeKey(path, ref string) error {
	var seed []byte
	switch scheme := contextScheme(ref); scheme {
	case "", "file":
		if looksLikeSeed(ref) {
			return core.Errorf(core.KindInvalid, "its nkey is a seed, where the path of a seed file belongs").
				WithNext("write the seed into a file of mode 0600 and name that file in the context")
		}
		file, err := contextFile("nkey", ref)
		c.Seed = file
		return err
	case "agent": // only unibus asks an SSH agent
		c.Seed = ref
		return nil
	case "data":
		if err := checkPrivateFile(path, "the context file"); err != nil {
			return err
		}
		head, body, _ := strings.Cut(ref, ",")
		raw, err := base64.StdEncoding.DecodeString(body)
		if err != nil || !slices.Contains(strings.Split(head, ";"), "base64") {
			return core.Errorf(core.KindInvalid, "its nkey begins with data: and is not base64").WithNext("save it again with `nats context edit`")
		}
		seed = raw
	case "env":
		name := ref[len("env:"):]
		name = strings.TrimPrefix(name, "//")
		if seed = []byte(os.Getenv(name)); len(seed) == 0 {
			return core.Errorf(core.KindInvalid, "its nkey is in the variable %s, which is not set", name).WithNext("set it to the seed, or name a seed file in the context")
		}
	default:
		return unknownResolver("nkey", scheme)
	}
	id, err := parseDecorated(seed)
	if err != nil {
		return core.Errorf(core.KindInvalid, "its nkey cannot be used: %w", err)
	}
	c.Identity = id
	return nil
}

// contextScheme is the scheme of a reference, in lower case; "" for a path.
func contextScheme(ref string) string {
	scheme, _, ok := strings.Cut(ref, ":")
	if _, err := url.Parse(scheme + ":x"); !ok || err != nil || len(scheme) < 2 {
		return ""
	}
	return strings.ToLower(scheme)
}

// contextFile is the path of a file that a context names, with ~ and variables as the NATS CLI takes them.
func contextFile(what, ref string) (string, error) {
	switch scheme := contextScheme(ref); scheme {
	case "":
	case "file":
		ref = strings.TrimPrefix(ref[len("file:"):], "//")
	default:
		return "", unknownResolver(what, scheme)
	}
	ref = os.ExpandEnv(ref)
	if rest, ok := strings.CutPrefix(ref, "~/"); ok {
		home, err := os.UserHomeDir()
		return filepath.Join(home, rest), err
	}
	return ref, nil
}

func unknownResolver(what, scheme string) error {
	if what != "nkey" {
		return core.Errorf(core.KindRefused, "its %s begins with %s:, and only a file can be read there", what, scheme).WithNext("name a file in the context")
	}
	return core.Errorf(core.KindRefused, "its %s begins with %s:, which unibus does not resolve", what, scheme).
		WithNext("use a seed file, data: or env:// in the context, or give --identity FILE")
}

// parseDecorated reads a seed, alone or with lines around it, as the NATS CLI keeps it.
func parseDecorated(text []byte) (Identity, error) {
	if id, err := ParseSeed(text); err == nil {
		return id, nil
	}
	kp, err := nkeys.ParseDecoratedNKey(text)
	if err != nil {
		return Identity{}, core.Errorf(core.KindInvalid, "it holds no nkey seed")
	}
	seed, err := kp.Seed()
	if err != nil {
		return Identity{}, core.Errorf(core.KindInvalid, "it holds no nkey seed")
	}
	return ParseSeed(seed)
}

// looksLikeSeed says whether a value that should name a file is a secret itself:
// a seed, whole or in part, or a data: URI.
func looksLikeSeed(value string) bool {
	value = strings.TrimSpace(value)
	return contextScheme(value) == "data" || core.Redact(value) != value && !strings.ContainsAny(value, "/@") ||
		strings.HasPrefix(value, "-----BEGIN")
}

// CheckServers refuses URLs that no node has. what names them in sentences. A user
// name or a password in one is refused before any of them is repeated: a comma
// in a password makes two values of one.
func CheckServers(what string, servers []string) error {
	for i, s := range servers {
		if strings.Contains(s, "@") {
			return core.Errorf(core.KindInvalid, "%s: value %d has a user name or a password, which no node takes", what, i+1).
				WithNext("leave out everything before the @; nodes admit by nkey alone")
		}
	}
	for _, s := range servers {
		if !strings.HasPrefix(s, "nats://") && !strings.HasPrefix(s, "tls://") {
			return core.Errorf(core.KindInvalid, "%s: %q is not a URL of a node", what, s).
				WithNext("use nats://HOST:PORT, or tls://HOST:PORT where the nodes have certificates")
		}
	}
	return nil
}

// checkPrivateFile applies the rules of a seed file to another file.
func checkPrivateFile(path, what string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return core.Errorf(core.KindNotFound, "%s %s does not exist", what, path)
	}
	if err != nil {
		return core.Errorf(core.KindFailed, "%s %s cannot be read: %s", what, path, cause(err))
	}
	defer func() { _ = f.Close() }() // it was only read
	return checkPrivate(f, path, what)
}
