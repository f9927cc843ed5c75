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
