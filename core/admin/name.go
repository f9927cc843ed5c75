package admin

import (
	"unicode/utf8"

	"unibus/core"
)

// maxName bounds names that people give, in bytes; older files may hold longer ones.
const maxName = 256

// CheckName says whether a name can be given to a user or a room: UTF-8 of at most 256 bytes. KindInvalid.
func CheckName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return core.Errorf(core.KindInvalid, "the name %q is not UTF-8", name).WithNext("give it in UTF-8")
	case len(name) > maxName:
		return core.Errorf(core.KindInvalid, "the name has %d bytes", len(name)).WithNext("use at most %d", maxName)
	}
	return nil
}
