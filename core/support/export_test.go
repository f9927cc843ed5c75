package support

// Paths are the listed fields of a file.
func Paths(file string) []string {
	var out []string
	var walk func(at string, f *field)
	walk = func(at string, f *field) {
		if f.kind != "" {
			out = append(out, at)
		}
		for name, below := range f.below {
			path := name
			if at != "" {
				path = at + "." + name
			}
			walk(path, below)
		}
	}
	walk("", fields()[file])
	return out
}
