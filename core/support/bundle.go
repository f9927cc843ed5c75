package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"unibus/core"
)

// format is the version of a bundle's files.
const format = 1

// maxFile bounds one file of a bundle, in bytes. A node's answer is smaller.
const maxFile = 2 << 20

// Bundle is a support bundle that is being collected.
type Bundle struct {
	Command string // the version of the program that collects it
	Node    string // the node that is asked
	Made    core.Millis

	files   []file
	missing []missing
}

// file is one file of a bundle, and how many fields and values stayed out of it.
type file struct {
	Name    string `json:"name"`
	Bytes   int    `json:"bytes"`
	LeftOut int    `json:"left_out"`
	data    []byte
}

// missing is what could not be had.
type missing struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// Add puts the listed fields of a document into the bundle.
func (b *Bundle) Add(name string, doc any, known Known) error {
	data, left, err := Filter(name, doc, known)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	_ = json.Indent(&text, data, "", "  ") // Filter made it
	b.add(name, append(text.Bytes(), '\n'), left)
	return nil
}

// AddReport puts a node's report into the bundle, with its log as lines of text.
func (b *Bundle) AddReport(report json.RawMessage, known Known) error {
	data, left, err := Filter("node.json", report, known)
	if err != nil {
		return err
	}
	var doc map[string]any
	_ = json.Unmarshal(data, &doc) // Filter made it
	log, _ := doc["log"].(map[string]any)
	lines, _ := log["lines"].([]any)
	delete(log, "lines")
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return core.Errorf(core.KindFailed, "node.json cannot be encoded: %w", err)
	}
	b.add("node.json", append(text, '\n'), left)
	b.add("log.txt", logText(lines), 0)
	return nil
}

// Missing says in the bundle that something could not be had.
func (b *Bundle) Missing(what string, reason error) {
	b.missing = append(b.missing, missing{what, core.AsError(reason).Text})
}

// add keeps the beginning of a file that is too large. A log is bounded by the ring that it comes from.
func (b *Bundle) add(name string, data []byte, left int) {
	if len(data) > maxFile {
		b.Missing(name, core.Errorf(core.KindFailed, "it has %d bytes, and only %d go into a bundle", len(data), maxFile))
		data = data[:maxFile]
	}
	b.files = append(b.files, file{name, len(data), left, data})
}

// Absent are the parts that could not be had, with the reasons.
func (b *Bundle) Absent() []string {
	var out []string
	for _, m := range b.missing {
		out = append(out, m.What+": "+m.Reason)
	}
	return out
}

// Files are the names of what is in the bundle.
func (b *Bundle) Files() []string {
	var out []string
	for _, f := range b.files {
		out = append(out, f.Name)
	}
	return out
}

// WriteTo writes the bundle as a tar.gz, with a manifest and the list of what may be in it.
func (b *Bundle) WriteTo(w io.Writer) (int64, error) {
	manifest, _, err := Filter("manifest.json", map[string]any{
		"format": format, "made": b.Made, "command": b.Command, "node": b.Node, "files": b.files, "missing": append([]missing{}, b.missing...),
	}, Known{})
	if err != nil {
		return 0, err
	}
	var head bytes.Buffer
	_ = json.Indent(&head, append(manifest, '\n'), "", "  ") // Filter made it
	all := slices.Concat([]file{{Name: "manifest.json", data: head.Bytes()}, {Name: "fields.txt", data: []byte(fieldsText)}}, b.files)
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	t := tar.NewWriter(z)
	for _, f := range all {
		h := &tar.Header{Name: "unibus-support/" + f.Name, Mode: 0o600, Size: int64(len(f.data)), ModTime: b.Made.Time().Truncate(time.Second)}
		if err := t.WriteHeader(h); err != nil {
			return 0, core.Errorf(core.KindFailed, "the bundle cannot be made: %w", err)
		}
		_, _ = t.Write(f.data) // into memory; Close would tell
	}
	if err := t.Close(); err != nil {
		return 0, core.Errorf(core.KindFailed, "the bundle cannot be made: %w", err)
	}
	_ = z.Close() // into memory
	return out.WriteTo(w)
}

// logText is a log as lines.
func logText(lines []any) []byte {
	var out bytes.Buffer
	for _, l := range lines {
		line, _ := l.(map[string]any)
		at, _ := line["at"].(float64)
		_, _ = fmt.Fprintf(&out, "%s %v %s", time.UnixMilli(int64(at)).UTC().Format("2006-01-02T15:04:05.000Z"), line["level"], oneLine(line["text"]))
		attrs, _ := line["attrs"].(map[string]any)
		for _, name := range sortedNames(attrs) {
			_, _ = fmt.Fprintf(&out, " %s=%q", name, fmt.Sprint(attrs[name]))
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}

func sortedNames(of map[string]any) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func oneLine(v any) string { return strings.Join(strings.Fields(fmt.Sprint(v)), " ") }
