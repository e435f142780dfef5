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
	for i := range n {
		row[0] = i + 1
		for j := range m {
			change := 1
			if x[i] == y[j] {
				change = 0
			}
			row[j+1] = min(old[j]+change, old[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
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
