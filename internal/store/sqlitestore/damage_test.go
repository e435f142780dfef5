package sqlitestore

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/store"
)

// harm flips a bit of a file, or cuts it short.
func harm(t *testing.T, path string, r *rand.Rand) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	what := ""
	if r.IntN(5) == 0 {
		size := r.IntN(len(data))
		if r.IntN(2) == 0 {
			size -= size % 4096
		}
		// A file of no bytes is a new one to SQLite; that the other file belongs
		// to another is found where the two are held together.
		size = max(size, 1)
		data, what = data[:size], fmt.Sprintf("cut to %d bytes", size)
	} else {
		at, bit := r.IntN(len(data)), r.IntN(8)
		data[at] ^= 1 << bit
		what = fmt.Sprintf("bit %d of byte %d of %d flipped (page %d)", bit, at, len(data), at/4096+1)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return what
}

// saysDamaged holds an error to what an operator needs: the file, and what to do next.
func saysDamaged(t *testing.T, what string, err error, file string, codes ...string) {
	t.Helper()
	code := fault.CodeOf(err)
	ok := false
	for _, c := range codes {
		ok = ok || c == code
	}
	if err != nil {
		var flipped, said int
		_, after, _ := strings.Cut(what, "(page ")
		_, named, _ := strings.Cut(err.Error(), "damaged at page ")
		_, noFlip := fmt.Sscanf(after, "%d", &flipped)
		_, unnamed := fmt.Sscanf(named, "%d", &said)
		if noFlip == nil && unnamed == nil && flipped != said || noFlip == nil && unnamed != nil && strings.HasPrefix(file, "state") {
			t.Errorf("%s: the error names another page, or none: %v", what, err)
		}
	}
	if !ok || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("%s: got %v; want one of %v that names %s and says what to do", what, err, codes, file)
	}
}

// TestDamagedLogIsNeverServed: a flipped bit or a lost end gives an error that
// names lane and record, or changes nothing that is read.
func TestDamagedLogIsNeverServed(t *testing.T) {
	t.Parallel()
	origin := filepath.Join(t.TempDir(), "log.db")
	const count = 600
	func() {
		store, err := OpenLog(LogConfig{Path: origin})
		if err != nil {
			t.Fatal(err)
		}
		log, err := eventlog.Open(eventlog.Config{Store: store, Now: noonNow})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- log.Run(ctx) }()
		r := rand.New(rand.NewPCG(1, 1))
		for i := 0; i < count; i += 3 {
			records := [][]byte{testRecord(1, i+1, r.IntN(900)), testRecord(1, i+2, r.IntN(900)), testRecord(1, i+3, r.IntN(9000))}
			if _, _, err := log.Append(ctx, eventlog.Live, records); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	whole, err := os.ReadFile(origin)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	seeded(t, 60, func(t *testing.T, r *rand.Rand) {
		path := filepath.Join(t.TempDir(), "log.db")
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		what := harm(t, path, r)
		ok, err := readDamagedLog(t, path, count)
		if err != nil {
			found++
			saysDamaged(t, what, err, "log.db", "file_damaged", "log_damaged")
			if fault.CodeOf(err) == "log_damaged" && !strings.Contains(err.Error(), fmt.Sprintf("record %d", ok+1)) &&
				!strings.Contains(err.Error(), fmt.Sprintf("records %d to", ok+1)) {
				t.Errorf("%s: after %d good records: %v", what, ok, err)
			}
		} else if ok != count {
			t.Errorf("%s: %d records were read without an error, want %d", what, ok, count)
		}
	})
	if found == 0 {
		t.Error("no damage was ever found")
	}
}

// readDamagedLog reads until the end or an error, and tells how many records were right.
func readDamagedLog(t *testing.T, path string, count int) (int, error) {
	t.Helper()
	store, err := OpenLog(LogConfig{Path: path})
	if err != nil {
		return 0, err
	}
	defer func() { _ = store.Close() }() // It may complain about the damage once more.
	log, err := eventlog.Open(eventlog.Config{Store: store, Now: noonNow})
	if err != nil {
		return 0, err
	}
	if tail, _ := log.Tail(eventlog.Live); tail != int64(count) {
		t.Errorf("the log ends at %d without an error", tail)
	}
	r := rand.New(rand.NewPCG(1, 1))
	next := 1
	for next <= count {
		got, err := log.Read(context.Background(), eventlog.Live, int64(next), 64<<10)
		if err != nil {
			return next - 1, err
		}
		if len(got) == 0 {
			break
		}
		for _, rec := range got {
			size := 900
			if next%3 == 0 {
				size = 9000
			}
			if want := testRecord(1, next, r.IntN(size)); !bytes.Equal(rec.Body, want) || rec.Pos != int64(next) {
				t.Fatalf("record %d was served damaged", next)
			}
			next++
		}
	}
	return next - 1, nil
}

// TestDamagedStateIsNeverServed: the same for persons, packs and identifiers.
func TestDamagedStateIsNeverServed(t *testing.T) {
	t.Parallel()
	origin := filepath.Join(t.TempDir(), "state.db")
	const count = 300
	s, err := OpenState(Config{Path: origin})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for n := int64(1); n <= count; n++ {
		size := r.IntN(5000)
		err := s.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error {
			if err := tx.Profile().AppendPack(n, testRecord(1, int(n), size)); err != nil {
				return err
			}
			if err := tx.Persons().Insert(id.Person(n), testRecord(2, int(n), size/4)); err != nil {
				return err
			}
			return tx.Identity().Bind(benchHash(1, int(n)), id.Person(n))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(origin)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	seeded(t, 60, func(t *testing.T, r *rand.Rand) {
		path := filepath.Join(t.TempDir(), "state.db")
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		what := harm(t, path, r)
		if err := readDamagedState(t, what, path, count); err != nil {
			found++
			saysDamaged(t, what, err, "state.db", "file_damaged")
		}
	})
	if found == 0 {
		t.Error("no damage was ever found")
	}
}

func readDamagedState(t *testing.T, what, path string, count int64) error {
	t.Helper()
	s, err := OpenState(Config{Path: path})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // It may complain about the damage once more.
	r := rand.New(rand.NewPCG(1, 1))
	return s.Read(context.Background(), func(tx store.Tx) error {
		for n := int64(1); n <= count; n++ {
			size := r.IntN(5000)
			pack, err := tx.Profile().Pack(n)
			if err != nil {
				return err
			}
			if !bytes.Equal(pack, testRecord(1, int(n), size)) {
				t.Fatalf("%s: pack %d was served damaged", what, n)
			}
			seen := false
			err = tx.Persons().Load([]id.Person{id.Person(n)}, func(_ id.Person, body []byte) error {
				seen = true
				if !bytes.Equal(body, testRecord(2, int(n), size/4)) {
					t.Fatalf("%s: person %d was served damaged", what, n)
				}
				return nil
			})
			if err != nil {
				return err
			}
			who := []id.Person{0}
			if err := tx.Identity().Lookup([]id.Hash{benchHash(1, int(n))}, who); err != nil {
				return err
			}
			if !seen || who[0] != id.Person(n) {
				t.Fatalf("%s: person %d is not there, or the identifier leads to %d", what, n, who[0])
			}
		}
		return nil
	})
}

// TestDamageBehindThePagesChecksumIsNamed: what changes in memory or in the
// write-ahead log passes the page's checksum; the row's own finds it.
func TestDamageBehindThePagesChecksumIsNamed(t *testing.T) {
	t.Parallel()
	s := openState(t, Config{})
	err := s.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error {
		if err := tx.Profile().AppendPack(1, []byte("history")); err != nil {
			return err
		}
		if err := tx.Persons().Insert(7, []byte("somebody")); err != nil {
			return err
		}
		return tx.Processor().AppendSeen(noon, make([]byte, 32))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"UPDATE timeline SET body = x'00' || substr(body, 2)",
		"UPDATE person SET body = x'00' || substr(body, 2)",
		"UPDATE seen SET body = substr(body, 2)",
	} {
		if err := s.w.db.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	for where, fn := range map[string]func(tx store.Tx) error{
		"row 1 of timeline": func(tx store.Tx) error { _, err := tx.Profile().Pack(1); return err },
		"row 7 of person": func(tx store.Tx) error {
			return tx.Persons().Load([]id.Person{7}, func(id.Person, []byte) error { return nil })
		},
		"of seen": func(tx store.Tx) error {
			return tx.Processor().EachSeen(noon, func(time.Time, []byte) error { return nil })
		},
	} {
		err := s.Read(t.Context(), fn)
		saysDamaged(t, where, err, "state.db", "file_damaged")
		if err == nil || !strings.Contains(err.Error(), where) {
			t.Errorf("got %v, want %q in it", err, where)
		}
	}
}
