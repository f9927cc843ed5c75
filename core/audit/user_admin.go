package audit

import "unibus/core"

// RoleUserAdmin is the role of a record that a user-admin made: a user of the bus with the
// role admin. A user-admin is no operator, whatever the user's name is.
const RoleUserAdmin core.OperatorRole = "user-admin"

// UserAdmin is a user-admin as the one who acts, for an Intent.
func UserAdmin(u core.User) core.Operator {
	by := core.Operator{Key: string(u.ID), Role: RoleUserAdmin}
	if u.Name != nil {
		by.Name = core.Redact(*u.Name) // users may have any name
	}
	return by
}

// ByUserAdmin is true where no operator acted.
func (r Record) ByUserAdmin() bool { return r.Role == RoleUserAdmin }

// Actor names who acted, for people: an operator by name. Users choose each other's
// names, so a user-admin is told as one, with the key.
func (r Record) Actor() string { return actor(r.Role, r.Name, r.Key) }

func actor(role core.OperatorRole, name, key string) string {
	if role != RoleUserAdmin {
		return core.VisibleText(name)
	}
	text := "user-admin " + core.UserID(key).Short()
	if name == "" {
		return text
	}
	return text + " " + core.VisibleText(cut(name))
}
