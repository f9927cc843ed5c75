// Package action is the table of everything an operator can do.
//
// Each Action names its command, its key and page, its confirmation, the equivalent
// command line, and the function that runs it. The root model makes the help, the
// footer, the command line and the dialogs from this table; the migration page reads
// it for its list of actions. An action sees an Input and calls a Client; it draws
// nothing.
//
// Begin reading with Action and Table in action.go. user_actions.go, room_actions.go,
// node_actions.go, bucket_actions.go, step_down_actions.go and migration_actions.go hold the
// entries; user_add.go, user_extend.go, user_replace.go and revoke.go hold those of users that
// need more than a few lines.
package action
