package main

import (
	"cmp"
	"strings"

	"github.com/spf13/cobra"
)

// addExamples gives every command its examples, which the help shows and the test parses.
// A command that only holds others shows the first one of each.
func addExamples(root *cobra.Command) {
	var first []string
	for _, c := range root.Commands() {
		addExamples(c)
		line, rest, _ := strings.Cut(c.Example, "\n")
		if strings.HasSuffix(line, `\`) {
			second, _, _ := strings.Cut(rest, "\n")
			line += "\n" + second
		}
		first = append(first, line)
	}
	root.Example = cmp.Or(examples()[root.CommandPath()], strings.Join(first, "\n"))
}

// examples are what an operator would type, by command. The context of the nats CLI
// stands for --server, --identity and --tls-ca.
func examples() map[string]string {
	return map[string]string{
		"unibusd": "unibusd demo\nunibusd serve --config /etc/unibus/unibusd.toml",
		"unibusd serve": "unibusd serve --config /etc/unibus/unibusd.toml\n" +
			"unibusd serve --config /etc/unibus/unibusd.toml --check\n" +
			"unibusd serve --name n1 --data ./data --listen 127.0.0.1:4222",
		"unibusd demo":       "unibusd demo\nunibusd demo --dir ./demo --for 10m\nunibusd demo --play",
		"unibusd demo stop":  "unibusd demo stop n2 --dir ./demo",
		"unibusd demo start": "unibusd demo start n2 --dir ./demo",

		"unibusd user add": "unibusd user add NKEY --name ana --context ops\n" +
			"unibusd user add NKEY --role admin --expires 90d --context ops\n" +
			"unibusd user add NKEY --db /var/lib/unibus/unibus.db",
		"unibusd user get": "unibusd user get NKEY --context ops",
		"unibusd user list": "unibusd user list --context ops\n" +
			"unibusd user list --filter ana --sort changed --limit 20 --context ops\n" +
			"unibusd user list --status revoked --json --context ops",
		"unibusd user revoke":   "unibusd user revoke NKEY --context ops",
		"unibusd user activate": "unibusd user activate NKEY --context ops",
		"unibusd user extend":   "unibusd user extend NKEY --expires 90d --context ops",
		"unibusd user replace":  "unibusd user replace OLD NEW --context ops",

		"unibusd operator list":   "unibusd operator list --context ops",
		"unibusd operator remove": "unibusd operator remove NKEY --context ops",

		"unibusd room list":  "unibusd room list --context ops",
		"unibusd room get":   "unibusd room get ROOM --context ops",
		"unibusd room rekey": "unibusd room rekey ROOM --context ops",

		"unibusd node list":      "unibusd node list --context ops",
		"unibusd node plan stop": "unibusd node plan stop n2 --context ops",
		"unibusd node add":       "unibusd node add n4 --context ops",
		"unibusd node remove":    "unibusd node remove n3 --context ops",
		"unibusd node drain":     "unibusd node drain n2 --context ops\nunibusd node drain n2 --for 30m --context ops",
		"unibusd node resume":    "unibusd node resume n2 --context ops",
		"unibusd node replace":   "unibusd node replace n3 n4 --context ops",

		"unibusd bucket list":  "unibusd bucket list --context ops",
		"unibusd bucket scale": "unibusd bucket scale --replicas 3 --context ops",
		"unibusd step-down":    "unibusd step-down meta --context ops\nunibusd step-down UNIBUS_users --to n2 --context ops",

		"unibusd migrate-to-kv": "unibusd migrate-to-kv --db /var/lib/unibus/unibus.db --dry-run\n" +
			"unibusd migrate-to-kv --db /var/lib/unibus/unibus.db \\\n--replicas 3 --cutover --context ops",
		"unibusd migration status":   "unibusd migration status --context ops",
		"unibusd migration report":   "unibusd migration report --out report.txt --context ops",
		"unibusd migration limit":    "unibusd migration limit --rate 500 --context ops",
		"unibusd migration pause":    "unibusd migration pause --context ops",
		"unibusd migration resume":   "unibusd migration resume --context ops",
		"unibusd migration abort":    "unibusd migration abort --context ops",
		"unibusd migration cutover":  "unibusd migration cutover --context ops",
		"unibusd migration rollback": "unibusd migration rollback --context ops",
		"unibusd migration finish":   "unibusd migration finish --context ops",

		"unibusd guide":  "unibusd guide\nunibusd guide restart --wait --context ops\nunibusd guide node-lost n3 n4 --context ops",
		"unibusd doctor": "unibusd doctor --context ops\nunibusd doctor --json --context ops",

		"unibusd audit": "unibusd audit --since 7d --context ops\n" +
			"unibusd audit --verb user-revoke --format csv --context ops",
		"unibusd audit verify": "unibusd audit verify --context ops\nunibusd audit verify --file audit.jsonl",
		"unibusd rollout":      "unibusd rollout --context ops",
		"unibusd backup":       "unibusd backup --out unibus-2026-11-22.db --context ops",
		"unibusd restore":      "unibusd restore --from unibus-2026-11-22.db \\\n--db /var/lib/unibus/unibus.db",

		"unibusd keygen operator": "unibusd keygen operator --out ana.nk\n" +
			"unibusd keygen operator --out ana.nk --passphrase\n" +
			"unibusd keygen operator --from-ssh ~/.ssh/id_ed25519.pub",
		"unibusd keygen user": "unibusd keygen user --out ana.nk",
		"unibusd cert ca":     "unibusd cert ca --out ./ca",
		"unibusd cert node":   "unibusd cert node --ca ./ca --name n1 \\\n--host n1.example.org,203.0.113.7 --out ./n1",
		"unibusd cert revoke": "unibusd cert revoke ./n1/node.crt --ca ./ca",

		"unibusd cluster-key show":   "unibusd cluster-key show --data /var/lib/unibus/data",
		"unibusd cluster-key list":   "unibusd cluster-key list",
		"unibusd cluster-key forget": "unibusd cluster-key forget n1.example.org:4222",
		"unibusd flags":              "unibusd flags\nunibusd flags --context ops",
		"unibusd version":            "unibusd version",
	}
}
