package migrate

import (
	"context"
	"time"
)

// How long a migration takes, as BenchmarkMove measured it with three nodes on two
// cores; nodes on machines of their own are faster. The backup's rate is assumed.
const (
	estimateFixed      = 3 * time.Second // creating the buckets and placing readers, however few rows there are
	estimateCopyRate   = 15_000          // rows a second
	estimateVerifyRate = 15_000          // rows a second, all nodes
	estimateBackupRate = 30 << 20        // bytes a second: copied, hashed and read again
)

// estimate sets Status.EstimateMS. A count that fails does not stop a migration.
func (j *Job) estimate(ctx context.Context) {
	n, err := j.source().Counts(ctx)
	if err != nil {
		return
	}
	rows := n.Users + n.Rooms + 2*n.Members + n.Keys // members twice: the index by user
	size := j.source().Size()
	j.updateStatus(func(s *Status) { s.EstimateMS = estimateDuration(rows, size, s.Options.Rate).Milliseconds() })
}

// estimateDuration is the time for backup, copy and verify; rate is the limit in
// rows a second, 0 for none.
func estimateDuration(rows int, bytes int64, rate int) time.Duration {
	speed := estimateCopyRate
	if rate > 0 {
		speed = min(speed, rate)
	}
	seconds := float64(bytes)/estimateBackupRate + float64(rows)/float64(speed) + float64(rows)/estimateVerifyRate
	return estimateFixed + time.Duration(seconds*float64(time.Second))
}
