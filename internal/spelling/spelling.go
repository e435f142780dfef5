// Package spelling says how far two words are apart, so that whoever meets an
// unknown one can ask whether a known one was meant. Two words come in, a number
// of slips goes out. It knows no words itself and never decides what is near
// enough.
package spelling

import "unicode/utf8"

// longest is the number of letters beyond which a word is no slip of anything.
const longest = 64

// Distance is the number of letters to insert, leave out, change or exchange with
// their neighbour to make b of a. It gives limit when that is as much or more, or
// when a word has more than 64 letters.
func Distance(a, b string, limit int) int {
	var x, y [longest]rune
	n, m := letters(&x, a), letters(&y, b)
	if n < 0 || m < 0 || n-m >= limit || m-n >= limit {
		return limit
	}
	// One row for each letter of a; of those before, two are looked at again.
	var rows [3][longest + 1]int
	older, old, row := &rows[0], &rows[1], &rows[2]
	for j := range m + 1 {
		old[j] = j
	}
	for i := 1; i <= n; i++ {
		row[0] = i
		for j := 1; j <= m; j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			row[j] = min(old[j-1]+change, old[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] { //nolint:gosec // Both are at least 2.
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, old, row = old, row, older
	}
	return min(old[m], limit)
}

// letters puts the letters of a word into dst and counts them, -1 when they are
// too many.
func letters(dst *[longest]rune, word string) int {
	if len(word) > longest*utf8.UTFMax {
		return -1
	}
	n := 0
	for _, r := range word {
		if n == longest {
			return -1
		}
		dst[n] = r
		n++
	}
	return n
}
