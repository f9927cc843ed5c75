package tuitest

import (
	"fmt"
	"time"

	"unibus/core"
	"unibus/core/admin"
)

// sampleAudit is what operators did, newest first: an action without an outcome,
// a refused and a failed one, and more than one page of older ones.
func sampleAudit(users []core.User) []admin.AuditRecord {
	op := func(seq int, at time.Duration, verb, args, outcome, text string, took int64) admin.AuditRecord {
		return admin.AuditRecord{
			Seq: uint64(seq), ID: fmt.Sprintf("A%05d", seq), At: ago(at), Node: "n1", Key: string(sampleUserID(800)), Name: "ana", Role: core.OperatorAdmin,
			Verb: verb, Args: args, Outcome: outcome, Text: text, TookMS: took,
		}
	}
	out := []admin.AuditRecord{
		op(512, 33*time.Second, "bucket-scale", "replicas=3", "unknown", "", 0),
		op(510, 26*time.Minute, "user-revoke", "id="+string(users[4].ID), "ok", "", 9),
		op(508, 40*time.Minute, "user-add", "id="+string(users[9].ID)+" name="+*users[9].Name+" role=member", "exists", users[9].ID.Short()+" is a user already", 2),
		op(506, 3*time.Hour, "migrate-cutover", "", "failed", "UNIBUS_members is not equal on n3", 1840),
		op(504, 26*time.Hour, "step-down", "group=meta to=n2", "ok", "", 312),
	}
	out[4].Late, out[4].Node = true, "n3"
	for i := range 240 {
		out = append(out, op(502-2*i, time.Duration(27+i)*time.Hour, "user-add", fmt.Sprintf("id=%s name=worker-%03d role=member", users[i%200].ID, 240-i), "ok", "", int64(2+i%7)))
	}
	return out
}
