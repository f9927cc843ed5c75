package unibus

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPackageList: every file that nfpm takes from the repository is there, no path is taken
// twice, programs alone may be run, and docs/operations/install.md names what it installs.
func TestPackageList(t *testing.T) {
	t.Parallel()
	list := readFile(t, "packaging/nfpm.yaml")
	entry := regexp.MustCompile(`(?m)^ *- \{src: "?([^",]+)"?, dst: ([^,]+), file_info: \{mode: (\d+)\}\}$`)
	seen := map[string]bool{}
	for _, m := range entry.FindAllStringSubmatch(list, -1) {
		src, dst, mode := m[1], m[2], m[3]
		if _, err := os.Stat(src); !strings.HasPrefix(src, "${STAGE}/") && err != nil {
			t.Errorf("%s is packaged, and is not there", src)
		}
		if want := map[bool]string{true: "0755", false: "0644"}[strings.HasPrefix(dst, "/usr/bin/")]; mode != want || seen[dst] {
			t.Errorf("%s has the mode %s (want %s), or is there twice (%v)", dst, mode, want, seen[dst])
		}
		seen[dst] = true
	}
	if n := strings.Count(list, "{src:"); n != len(seen) || n < 10 {
		t.Errorf("%d entries, and %d could be read", n, len(seen))
	}
	for _, path := range []string{"/usr/bin/unibusd", "/usr/bin/unibus-tui", "/usr/lib/systemd/system/unibusd.service"} {
		if !seen[path] || !strings.Contains(readFile(t, "docs/operations/install.md"), "`"+path+"`") {
			t.Errorf("%s is not packaged, or the document does not name it", path)
		}
	}
	for _, script := range []string{"postinstall", "preremove", "postremove"} {
		if !strings.Contains(list, script+": packaging/"+script) || !strings.HasPrefix(readFile(t, "packaging/"+script), "#!/bin/sh\n") {
			t.Errorf("the script %s is not packaged, or is none", script)
		}
	}
}

// instruction is one of a Containerfile, without its continuation lines.
type instruction struct {
	word string
	args []string
}

func instructions(text string) (all []instruction) {
	text = regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(text, "")
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if f := strings.Fields(line); len(f) > 0 {
			all = append(all, instruction{f[0], f[1:]})
		}
	}
	return all
}

// TestContainerfile: the file has nothing that docker build would refuse, or that would make
// another image than the documents say. Such faults are a missing stage or file, an older
// compiler than go.mod names, a shell, and a user with a name or with rights.
func TestContainerfile(t *testing.T) {
	t.Parallel()
	known := []string{"FROM", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "ENTRYPOINT", "CMD"}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "go.mod"))[1]
	var stages []string
	last := map[string][]string{}
	for _, i := range instructions(readFile(t, "packaging/Containerfile")) {
		if !slices.Contains(known, i.word) || len(i.args) == 0 {
			t.Errorf("%s %v is no instruction that this image needs", i.word, i.args)
			continue
		}
		switch i.word {
		case "FROM":
			clear(last)
			if len(i.args) == 3 && i.args[1] == "AS" {
				stages = append(stages, i.args[2])
			}
			if image := i.args[0]; image != "scratch" && image != "golang:"+version {
				t.Errorf("an image is made from %s, and go.mod names Go %s", image, version)
			}
		case "COPY":
			checkCopy(t, i.args, stages)
		case "ENTRYPOINT", "CMD":
			var words []string
			if err := json.Unmarshal([]byte(strings.Join(i.args, " ")), &words); err != nil {
				t.Errorf("%s has no list of words, and the image has no shell: %v", i.word, err)
			}
			i.args = words
		}
		last[i.word] = i.args
	}
	if want := []string{"/usr/bin/unibusd"}; !slices.Equal(last["ENTRYPOINT"], want) || !slices.Equal(last["FROM"], []string{"scratch"}) || last["RUN"] != nil {
		t.Errorf("the image is %v", last)
	}
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(strings.Join(last["USER"], "")) || !slices.Equal(last["EXPOSE"], []string{"4222", "6222"}) || !slices.Equal(last["VOLUME"], []string{"/var/lib/unibus"}) {
		t.Errorf("user %v, ports %v, volume %v", last["USER"], last["EXPOSE"], last["VOLUME"])
	}
}

func checkCopy(t *testing.T, args, stages []string) {
	t.Helper()
	from, paths := "", slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "--") })
	for _, a := range args {
		if stage, ok := strings.CutPrefix(a, "--from="); ok {
			from = stage
		}
	}
	if from != "" && !slices.Contains(stages, from) {
		t.Errorf("COPY is from %s, and the stages are %v", from, stages)
	}
	for _, path := range paths[:len(paths)-1] {
		if _, err := os.Stat(path); from == "" && err != nil {
			t.Errorf("COPY takes %s: %v", path, err)
		}
	}
}
