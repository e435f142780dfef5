// Package rows is what every home of the data does alike: how bodies are written
// and checked, who of those who wait may write first, and what the one writer
// remembers of the mails it moves. What comes in are values and bytes; it knows
// no database.
package rows
