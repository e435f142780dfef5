// Package segment keeps memberships true: definitions, incremental evaluation
// with the instant at which the answer expires, and backfill. It never sends.
package segment
