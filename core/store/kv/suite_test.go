package kv

import (
	"testing"

	"unibus/core"
	"unibus/core/store/storetest"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) core.Store { return onSingle(t).open(t, 0, 1) })
}

func BenchmarkRoomPages(b *testing.B) {
	storetest.BenchmarkRoomPages(b, func(b *testing.B) core.Store { return onSingle(b).open(b, 0, 1) })
}
