package audit

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"unibus/core"
	"unibus/core/admin"
	"unibus/tui/page"
)

// act is a record as commands: of a shell, and of the console. Either is "" where there is none.
type act struct{ shell, console string }

// actOf is what does again what a record says was done. why says why nothing does.
func actOf(r admin.AuditRecord) (a act, why string) {
	switch {
	case strings.Contains(r.Args, "…") || core.Redact(r.Args) != r.Args:
		return act{}, "a value is too long for the record"
	case r.ByUserAdmin():
		return act{}, "a user-admin did it through the bus"
	}
	a = userAct(r.Verb, r.Argument)
	if a == (act{}) {
		a = clusterAct(r.Verb, r.Argument)
	}
	if a == (act{}) || strings.Contains(a.shell, " ''") { // the record names no target
		return act{}, "no command does it"
	}
	return a, ""
}

// command joins words of a command, and quotes values.
func command(words string, values ...string) string {
	for _, v := range values {
		words += " " + core.ShellQuote(v)
	}
	return words
}

// flag is a flag with its value, "" without a value.
func flag(name, value string) string {
	if value == "" {
		return ""
	}
	return " --" + name + " " + core.ShellQuote(value)
}

func userAct(verb string, v func(name string) string) act {
	id := v("id")
	switch verb {
	case "user-add":
		return act{command("unibusd user add", id) + flag("name", v("name")) + flag("role", v("role")) + flag("expires", v("expires")), "user add"}
	case "user-revoke":
		return act{command("unibusd user revoke", id), "user revoke " + id}
	case "user-activate":
		return act{command("unibusd user activate", id), "user activate " + id}
	case "user-extend":
		return act{command("unibusd user extend", id) + flag("expires", cmp.Or(v("expires"), "never")), "user extend " + id}
	case "user-replace":
		return act{command("unibusd user replace", id, v("to")), "user replace " + id}
	case "session-end":
		if v("session") != "" {
			return act{command("unibusd session end", v("session")), ""}
		}
		return act{command("unibusd session end", v("user")), "session end " + v("user")}
	case "room-rekey":
		return act{command("unibusd room rekey", id) + flag("user", v("user")), "room rekey " + id}
	case "operator-remove":
		return act{command("unibusd operator remove", id), ""}
	}
	return act{}
}

func clusterAct(verb string, v func(name string) string) act {
	switch verb {
	case "node-add":
		return act{command("unibusd node add", v("name")), "node add"}
	case "node-remove", "node-resume", "node-fence":
		does := strings.ReplaceAll(verb, "-", " ")
		return act{command("unibusd "+does, v("name")), does + " " + v("name")}
	case "node-drain":
		return act{command("unibusd node drain", v("name")) + flag("for", span(v("for_ms"))), "node drain " + v("name")}
	case "bucket-scale":
		return act{"unibusd bucket scale" + flag("replicas", v("replicas")), "bucket scale"}
	case "step-down":
		console := "bucket step-down " + v("group")
		if v("group") == "meta" {
			console = "meta step-down"
		}
		return act{command("unibusd step-down", v("group")) + flag("to", v("to")), console}
	case "backup-now":
		return act{"unibusd backup now", "backup now"}
	case "migrate-limit":
		return act{"unibusd migration limit --rate " + core.ShellQuote(cmp.Or(v("rate"), "0")), "migrate limit"}
	case "migrate-pause", "migrate-resume", "migrate-abort", "migrate-cutover", "migrate-rollback", "migrate-finish":
		word := strings.TrimPrefix(verb, "migrate-")
		return act{"unibusd migration " + word, "migrate " + word}
	case "migrate-start":
		return migrationStart(v)
	}
	return act{}
}

func migrationStart(v func(name string) string) act {
	line := "unibusd migrate-to-kv" + flag("db", v("db")) + flag("replicas", v("replicas")) + flag("rate", v("rate"))
	for _, name := range []string{"no_backup", "dry_run", "cutover"} {
		if v(name) == "true" {
			line += " --" + strings.ReplaceAll(name, "_", "-")
		}
	}
	line += flag("ignore-node", v("discard"))
	for _, name := range strings.Split(v("ignore"), ",") {
		line += flag("ignore", name)
	}
	if v("dry_run") == "true" {
		return act{line, "migrate check"}
	}
	return act{line, "migrate start"}
}

// span is milliseconds as a duration that the command takes: 2h0m0s.
func span(ms string) string {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return ""
	}
	return (time.Duration(n) * time.Millisecond).String()
}

// againLines say which command does it again, or why none does.
func againLines(rc page.RenderContext, r admin.AuditRecord) string {
	a, why := actOf(r)
	if a.shell == "" {
		return "not by a command: " + why
	}
	return rc.UnselectedInput.WithFlags(a.shell)
}

// repeat offers the act in the command line: enter there asks as the act itself does.
func (m *Page) repeat(rc page.RenderContext) page.KeyResult {
	r, found := findRecord(rc, m.Current())
	if !found {
		return page.KeyResult{Handled: true}
	}
	a, why := actOf(r)
	switch {
	case a.shell == "":
		return page.KeyResult{Handled: true, Notice: "This cannot be repeated: " + why + "."}
	case a.console == "":
		return page.KeyResult{Handled: true, Notice: "Only the command repeats this: " + rc.UnselectedInput.WithFlags(a.shell)}
	}
	return page.KeyResult{Handled: true, Command: a.console}
}
