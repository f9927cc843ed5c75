package keys

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"unibus/core"
)

// Context is what unibus takes from a context of the NATS CLI; what the context does not say is empty.
type Context struct {
	Servers []string // URLs
	Seed    string   // the nkey's seed file
	CA      string   // the certificate file of the authority to trust

	ClusterKey string // of the field unibus_cluster_key, which the NATS CLI leaves out when it writes the context anew
}

// ReadContext reads a context of the NATS CLI by its name, from
// <config>/nats/context/NAME.json. KindInvalid where it cannot be used.
func ReadContext(name string) (Context, error) {
	bad := func(err error) (Context, error) {
		return Context{}, core.Errorf(core.KindInvalid, "the NATS context %s cannot be used: %w", name, err).
			WithNext("`nats context ls` lists them; or name servers, seed file and authority one by one")
	}
	if strings.ContainsAny(name, "/\\") {
		return bad(core.Errorf(core.KindInvalid, "a name has no slashes"))
	}
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return bad(err)
		}
		dir = filepath.Join(home, ".config")
	}
	data, err := os.ReadFile(filepath.Join(dir, "nats", "context", name+".json"))
	if err != nil {
		return bad(err)
	}
	var found struct {
		URL  string `json:"url"`
		NKey string `json:"nkey"`
		CA   string `json:"ca"`

		ClusterKey string `json:"unibus_cluster_key"`
	}
	if err := json.Unmarshal(data, &found); err != nil {
		return bad(err)
	}
	out := Context{Seed: found.NKey, CA: found.CA, ClusterKey: found.ClusterKey}
	if found.URL != "" {
		out.Servers = strings.Split(found.URL, ",")
	}
	return out, nil
}
