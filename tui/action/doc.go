// Package action is everything an operator can do, in one table: its name and
// aliases, its key and where that works, the role it takes, how it is confirmed,
// the command line that does the same, and what it runs. The help, the foot, the
// command bar and the dialogs are all made from this table.
package action
