package core

import "fmt"

// DiskFaultText says what is wrong with what a disk holds of a bucket: records that are not what
// was written, and blocks that are missing. It continues "the disk of n2".
func DiskFaultText(bucket string, records, missing int) string {
	text := ""
	switch {
	case records == 1:
		text = "holds 1 record of " + bucket + " that is not what was written"
	case records > 1:
		text = fmt.Sprintf("holds %d records of %s that are not what was written", records, bucket)
	}
	if missing == 0 {
		return text
	}
	blocks := "a block of " + bucket
	if missing > 1 {
		blocks = fmt.Sprintf("%d blocks of %s", missing, bucket)
	}
	if text != "" {
		return text + ", and lacks " + blocks
	}
	return "lacks " + blocks
}

// TakeReplicasAgain is the step that mends a replica which is not what was written. A restart alone
// mends the newest block only: a server asks for what comes after its last record, and leaves out
// what it lacks before that. The stream's directory alone is not enough either: the snapshot of
// its raft group may say that what is missing was deleted.
func TakeReplicasAgain(node string) string {
	return fmt.Sprintf("while every other node is healthy, stop unibusd on %s, move its data directory away, and start it: it takes everything from the others; look at the health of that disk first; the steps: unibusd guide disk-wiped %s", node, node)
}
