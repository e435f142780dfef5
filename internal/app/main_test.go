package app_test

import (
	"testing"

	"rapport/internal/store/pgstore/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// onBothStores runs a test over files of the data folder and over PostgreSQL: the
// database's address is empty for files.
func onBothStores(t *testing.T, test func(t *testing.T, database string)) {
	t.Helper()
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		test(t, "")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, pgtest.Database(t))
	})
}
