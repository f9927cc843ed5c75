package action

import "strconv"

func pluralize(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// NumberWord writes small numbers as words.
func NumberWord(n int) string {
	w := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
	if n >= 0 && n < len(w) {
		return w[n]
	}
	return strconv.Itoa(n)
}
