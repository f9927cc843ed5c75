package seal

// windowSize is how far behind the highest counter a message may come.
const windowSize = 1024

// window remembers which counters of a session were seen: bit c mod windowSize
// of those above high-windowSize. The zero window has seen nothing.
type window struct {
	any  bool
	high uint64
	bits [windowSize / 64]uint64
}

// check says what c would be: nil where it is new.
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

// add notes c, which check found new. missing is how many counters between the
// highest so far and c have not come; late is whether c is below it.
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

// clear forgets what falls out of the window when its highest becomes c.
func (w *window) clear(c uint64) {
	if c-w.high >= windowSize {
		w.bits = [windowSize / 64]uint64{}
		return
	}
	for i := w.high + 1; i <= c; i++ {
		w.bits[i%windowSize/64] &^= 1 << (i % 64)
	}
}
