package hostile

import "embed"

// genuine holds files that an earlier release has
// made: of version 1, of version 2, and of version 1 that became one of version 2
// when a room was archived. They are never made again: a node has to open exactly these.
//
//go:embed genuine
var genuine embed.FS

// Genuine names the files, for GenuineFile.
func Genuine() []string { return []string{"version1", "raised", "version2"} }

// GenuineFile is the bytes of a whole database that an earlier release has made.
func GenuineFile(name string) []byte {
	b, err := genuine.ReadFile("genuine/" + name + ".db")
	if err != nil {
		panic(err) // the caller's own mistake
	}
	return b
}
