//go:build !linux

package kv

import "time"

// sinceBoot is not known here: the monotonic clock alone counts.
func sinceBoot() time.Duration { return 0 }
