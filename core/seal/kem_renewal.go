package seal

// BoxKEMHash names the KEM key to which a box was sealed, as the box says. A client that
// keeps several keys opens the box with that one; OpenBox checks it. ErrFormat.
func BoxKEMHash(b []byte) (Hash, error) {
	x, ok := parseBox(b)
	if !ok {
		return Hash{}, errFault(ErrFormat, "a box cannot be read: %d bytes", len(b))
	}
	return x.kh, nil
}
