package segment

// Store keeps how many people each segment holds and how far a backfill came.
// Membership itself stands in the person's row. It is one accessor of a
// transaction and is used by one goroutine at a time.
type Store interface {
	// AddCounts adds these differences to the segments' sizes.
	AddCounts(delta map[string]int64) error
	// Counts gives the size of every segment that ever had a member.
	Counts() (map[string]int64, error)
	// SaveBackfill writes the progress of the backfill to a configuration version.
	SaveBackfill(b Backfill) error
	// Backfill reads it; false when none was ever begun.
	Backfill() (Backfill, bool, error)
}

// Backfill is the progress of bringing everybody to one configuration version.
type Backfill struct {
	Version int   // the configuration version that people are brought to
	Next    int64 // the last person that is done
	Last    int64 // the last person that needs it
	Done    bool
}
