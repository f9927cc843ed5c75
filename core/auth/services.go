package auth

// AuditStream keeps the record of what operators did, AuditSubjects are where it
// listens: unibus.audit.<node>.<id>, as core/audit has it.
const (
	AuditStream   = "UNIBUS_audit"
	AuditSubjects = "unibus.audit."
)

// GrantAudit is for the record of what operators did: it may append under its
// own node's name, and make, mend and read the stream. It may neither delete nor purge.
func GrantAudit(node string) Grant {
	publish := []string{AuditSubjects + node + ".>"}
	for _, api := range []string{"STREAM.INFO.", "STREAM.CREATE.", "STREAM.UPDATE.", "STREAM.MSG.GET."} {
		publish = append(publish, "$JS.API."+api+AuditStream)
	}
	return internal("audit", AccountControl, publish, []string{inboxes})
}
