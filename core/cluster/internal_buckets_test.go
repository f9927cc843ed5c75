package cluster

import "testing"

// TestInternalBucketsBoundStops: of five nodes two may stop, and of three replicas of the
// audit one, whatever serves the tables.
func TestInternalBucketsBoundStops(t *testing.T) {
	t.Parallel()
	v := onSQLite(healthy(5, 3), true)
	if got := v.tolerableStops(); got != 2 {
		t.Errorf("without internal buckets %d may stop, want 2", got)
	}
	if got := withInternal(v, 3).tolerableStops(); got != 1 {
		t.Errorf("with internal buckets %d may stop, want 1", got)
	}
}
