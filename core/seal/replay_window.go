package seal

// windowSize is the distance to the highest counter up to which messages are accepted.
const windowSize = 1024

// window remembers the seen counters of a session: bit c mod windowSize, for those
// above high-windowSize. The zero window has seen none.
type window struct {
	any  bool
	high uint64
	bits [windowSize / 64]uint64
}

// check returns the fault of counter c; "" if it is new.
func (w *window) check(c uint64) Fault {
	switch {
	case !w.any || c > w.high:
		return ""
	case w.high-c >= windowSize:
		return ErrTooOld
	case w.bits[c%windowSize/64]&(1<<(c%64)) != 0:
		return ErrReplay
	}
	return ""
}

// add notes c, which check found new. missing is the number of counters between the
// highest so far and c; late says that c is below the highest.
func (w *window) add(c uint64) (missing uint64, late bool) {
	switch {
	case !w.any:
		w.any, w.high = true, c
	case c < w.high:
		late = true
	default:
		missing = c - w.high - 1
		w.clear(c)
		w.high = c
	}
	w.bits[c%windowSize/64] |= 1 << (c % 64)
	return missing, late
}

// clear forgets the counters that leave the window when its highest becomes c.
func (w *window) clear(c uint64) {
	if c-w.high >= windowSize {
		w.bits = [windowSize / 64]uint64{}
		return
	}
	for i := w.high + 1; i <= c; i++ {
		w.bits[i%windowSize/64] &^= 1 << (i % 64)
	}
}
