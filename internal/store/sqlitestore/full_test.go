package sqlitestore

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store"
)

// TestFullDiskRefusesAppendsAndRecovers fills the disk under the log.
func TestFullDiskRefusesAppendsAndRecovers(t *testing.T) {
	t.Parallel()
	seeded(t, 10, func(t *testing.T, r *rand.Rand) {
		disk, dir := newDisk(t), t.TempDir()
		log, _ := runLog(t, LogConfig{Path: filepath.Join(dir, "log.db"), VFS: disk.Name(), CheckpointPages: 10 + r.IntN(50)})
		acked := map[int64][]byte{}
		n := 0
		try := func() error {
			n++
			records := [][]byte{testRecord(1, n, r.IntN(4000)), testRecord(2, n, r.IntN(4000)), testRecord(3, n, r.IntN(100))}
			first, _, err := log.Append(t.Context(), eventlog.Live, records)
			for i, b := range records {
				if err == nil {
					acked[first+int64(i)] = b
				}
			}
			return err
		}
		for range 3 { // Full and free again, several times.
			for range 20 {
				if err := try(); err != nil {
					t.Fatal(err)
				}
			}
			disk.Fill(r.Int64N(100_000))
			refused := 0
			for tries := 0; refused < 20 && tries < 20_000; tries++ {
				if err := try(); err != nil {
					if fault.KindOf(err) != fault.Unavailable || fault.CodeOf(err) != "disk_full" || !fault.Temporary(err) {
						t.Fatalf("got %v, want disk_full, which is temporary", err)
					}
					refused++
				}
			}
			if refused == 0 {
				t.Fatal("the disk never was full")
			}
			checkLog(t, log, acked)
			disk.Free()
			if err := try(); err != nil {
				t.Fatalf("there is room again: %v", err)
			}
		}
		again, _ := runLog(t, LogConfig{Path: filepath.Join(dir, "log.db"), VFS: disk.Name()})
		checkLog(t, again, acked)
		if tail, _ := again.Tail(eventlog.Live); tail != int64(len(acked)) {
			t.Errorf("the log holds %d records, %d were acknowledged", tail, len(acked))
		}
	})
}

// TestFullDiskRefusesWritesWhole fills the disk under the state.
func TestFullDiskRefusesWritesWhole(t *testing.T) {
	t.Parallel()
	seeded(t, 10, func(t *testing.T, r *rand.Rand) {
		disk, dir := newDisk(t), t.TempDir()
		c := Config{Path: filepath.Join(dir, "state.db"), VFS: disk.Name(), CheckpointPages: 20 + r.IntN(200), CacheKB: 64 + r.IntN(500)}
		s := openState(t, c)
		committed := int64(0)
		try := func(rows int) error {
			var n int64
			o := store.WriteOptions{Priority: store.Normal, Durable: r.IntN(2) == 0}
			err := s.Write(context.Background(), o, func(tx store.Tx) (err error) {
				for range rows {
					if n, err = writeNumbered(tx, r); err != nil {
						return err
					}
				}
				return nil
			})
			if err == nil {
				committed = n
			}
			return err
		}
		for range 3 {
			for range 20 {
				if err := try(1 + r.IntN(20)); err != nil {
					t.Fatal(err)
				}
			}
			disk.Fill(r.Int64N(200_000))
			refused := 0
			for tries := 0; refused < 20 && tries < 2000; tries++ {
				if err := try(1 + r.IntN(20)); err != nil {
					if fault.KindOf(err) != fault.Unavailable || fault.CodeOf(err) != "disk_full" || !fault.Temporary(err) {
						t.Fatalf("got %v, want disk_full, which is temporary", err)
					}
					refused++
				}
			}
			if refused == 0 {
				t.Fatal("the disk never was full")
			}
			checkWhole(t, s, committed)
			disk.Free()
			if err := try(3); err != nil {
				t.Fatalf("there is room again: %v", err)
			}
		}
		checkWhole(t, s, committed)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, openState(t, c), committed)
	})
}

// TestErrorThatIsIgnoredStillRollsBack: when SQLite ends a transaction by
// itself because the disk is full, nothing that follows in it may be written,
// even if the caller minds no error.
func TestErrorThatIsIgnoredStillRollsBack(t *testing.T) {
	t.Parallel()
	disk := newDisk(t)
	s := openState(t, Config{Path: filepath.Join(t.TempDir(), "state.db"), VFS: disk.Name(), CacheKB: 64})
	err := s.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error {
		if err := tx.Persons().Insert(1, []byte("before")); err != nil {
			return err
		}
		disk.Fill(20_000)
		failed := false
		for i := id.Person(2); i < 2000; i++ { // More than the cache holds: pages spill to the disk.
			if err := tx.Persons().Insert(i, make([]byte, 1000)); err != nil {
				failed = true
				break
			}
		}
		if !failed {
			t.Error("the disk never was full")
		}
		disk.Free()
		_ = tx.Persons().Insert(5000, []byte("after")) // Ignored, as a careless caller would.
		return nil
	})
	if fault.CodeOf(err) != "disk_full" {
		t.Errorf("got %v, want disk_full", err)
	}
	err = s.Read(t.Context(), func(tx store.Tx) error {
		got, err := tx.Persons().After(0, 10_000)
		if len(got) != 0 {
			t.Errorf("%d persons of a transaction that failed are there", len(got))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkWhole(t *testing.T, s *State, committed int64) {
	t.Helper()
	checkNumbered(t, s, committed)
	err := s.Read(t.Context(), func(tx store.Tx) error {
		last, err := tx.Profile().LastPack()
		if last != committed {
			t.Errorf("%d transactions are there, %d committed", last, committed)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
