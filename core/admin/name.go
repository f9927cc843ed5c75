package admin

import "unibus/core"

// CheckName says whether a name can be given to a user or a room: see core.CheckName.
func CheckName(name string) error { return core.CheckName(name) }
