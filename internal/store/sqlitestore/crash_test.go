package sqlitestore

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/store"
	"rapport/internal/store/sqlitestore/crashvfs"
)

// rounds is how often a random test runs: RAPPORT_ROUNDS, or a few.
func rounds(t *testing.T, few int) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("RAPPORT_ROUNDS")); err == nil {
		return n
	}
	return few
}

// seeded runs a test with a seed that a failure prints. RAPPORT_SEED repeats one.
func seeded(t *testing.T, few int, test func(t *testing.T, r *rand.Rand)) {
	t.Helper()
	first, n := uint64(time.Now().UnixNano()), rounds(t, few)
	if seed, err := strconv.ParseUint(os.Getenv("RAPPORT_SEED"), 10, 64); err == nil {
		first, n = seed, 1
	}
	for i := range n {
		seed := first + uint64(i)
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { test(t, rand.New(rand.NewPCG(seed, 1))) })
		if !ok {
			t.Fatalf("repeat with RAPPORT_SEED=%d", seed)
		}
	}
}

func newDisk(t *testing.T) *crashvfs.Disk {
	t.Helper()
	d := crashvfs.New()
	t.Cleanup(d.Remove)
	return d
}

// maybe gives r or nil: an orderly disk that forgets all it has not synced, or one that reorders.
func maybe(r *rand.Rand) *rand.Rand {
	if r.IntN(2) == 0 {
		return nil
	}
	return rand.New(rand.NewPCG(r.Uint64(), 1))
}

func benchHash(kind byte, n int) (h id.Hash) {
	binary.LittleEndian.PutUint64(h[:], uint64(n)*0x9e3779b97f4a7c15+uint64(kind)*0xbf58476d1ce4e5b9)
	binary.LittleEndian.PutUint64(h[8:], uint64(n)*0x94d049bb133111eb^uint64(kind))
	return h
}

func testRecord(client, n int, size int) []byte {
	b := make([]byte, 16+size)
	binary.LittleEndian.PutUint64(b, uint64(client))
	binary.LittleEndian.PutUint64(b[8:], uint64(n))
	for i := 16; i < len(b); i++ {
		b[i] = byte(client*31 + n*7 + i)
	}
	return b
}

// TestPowerLossKeepsAcknowledgedAppends cuts the power at the moment a client
// saw its answer: whatever was acknowledged before is in the log.
func TestPowerLossKeepsAcknowledgedAppends(t *testing.T) {
	t.Parallel()
	seeded(t, 12, func(t *testing.T, r *rand.Rand) {
		disk, dir, after := newDisk(t), t.TempDir(), t.TempDir()
		log, _ := runLog(t, LogConfig{Path: filepath.Join(dir, "log.db"), VFS: disk.Name(), CheckpointPages: 5 + r.IntN(60)})
		var mu sync.Mutex
		acked := map[int64][]byte{}
		cut, lossy := 20+r.IntN(400), maybe(r)
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		var group sync.WaitGroup
		for client := range 4 {
			own := rand.New(rand.NewPCG(r.Uint64(), 2))
			group.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					records := [][]byte{testRecord(client, n, own.IntN(3000))}
					if own.IntN(3) == 0 {
						records = append(records, testRecord(client, n, 10))
					}
					first, _, err := log.Append(context.Background(), eventlog.Live, records)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if ctx.Err() == nil {
						for i, b := range records {
							acked[first+int64(i)] = b
						}
						if len(acked) >= cut {
							if err := disk.PowerLoss(after, lossy); err != nil {
								t.Error(err)
							}
							stop()
						}
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		again, _ := runLog(t, LogConfig{Path: filepath.Join(after, "log.db")})
		checkLog(t, again, acked)
	})
}

// checkLog reads all of a log: dense, and with everything that was acknowledged.
func checkLog(t *testing.T, log *eventlog.Log, acked map[int64][]byte) {
	t.Helper()
	tail, _ := log.Tail(eventlog.Live)
	next, found := int64(1), 0
	for next <= tail {
		got, err := log.Read(t.Context(), eventlog.Live, next, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range got {
			if rec.Pos != next {
				t.Fatalf("record %d follows %d", rec.Pos, next-1)
			}
			next++
			if want, ok := acked[rec.Pos]; ok {
				found++
				if string(rec.Body) != string(want) {
					t.Fatalf("record %d is another than the one that was acknowledged", rec.Pos)
				}
			}
		}
	}
	if found != len(acked) {
		t.Fatalf("%d of %d acknowledged records are in the log, which ends at %d", found, len(acked), tail)
	}
}

// TestPowerLossKeepsDurableWrites cuts the power at the moment a durable write
// returned: it and all before it are there, what is lost is the newest, and no
// transaction is torn.
func TestPowerLossKeepsDurableWrites(t *testing.T) {
	t.Parallel()
	seeded(t, 12, func(t *testing.T, r *rand.Rand) {
		disk, dir, after := newDisk(t), t.TempDir(), t.TempDir()
		s := openState(t, Config{Path: filepath.Join(dir, "state.db"), VFS: disk.Name(), CheckpointPages: 20 + r.IntN(200)})
		var mu sync.Mutex
		var durable, last int64 // newest that was acknowledged as durable, newest that committed
		cut, lossy := int64(10+r.IntN(120)), maybe(r)
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		var group sync.WaitGroup
		for range 3 {
			own := rand.New(rand.NewPCG(r.Uint64(), 2))
			group.Go(func() {
				for ctx.Err() == nil {
					o := store.WriteOptions{Priority: store.Priority(own.IntN(3)), Durable: own.IntN(4) == 0}
					var n int64
					err := s.Write(context.Background(), o, func(tx store.Tx) (err error) {
						n, err = writeNumbered(tx, own)
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					last = max(last, n)
					if o.Durable && ctx.Err() == nil {
						durable = max(durable, n)
						if last >= cut {
							if err := disk.PowerLoss(after, lossy); err != nil {
								t.Error(err)
							}
							stop()
						}
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		checkNumbered(t, openState(t, Config{Path: filepath.Join(after, "state.db")}), durable)
	})
}

// writeNumbered writes the next of a row of transactions: one number in many tables.
func writeNumbered(tx store.Tx, r *rand.Rand) (int64, error) {
	last, err := tx.Profile().LastPack()
	if err != nil {
		return 0, err
	}
	n := last + 1
	if err := tx.Profile().AppendPack(n, testRecord(1, int(n), r.IntN(9000))); err != nil {
		return 0, err
	}
	if err := tx.Persons().Insert(id.Person(n), testRecord(2, int(n), r.IntN(900))); err != nil {
		return 0, err
	}
	if n > 5 { // An old page changes too.
		if err := tx.Persons().Update(id.Person(1+r.Int64N(n-1)), testRecord(2, int(n), r.IntN(900))); err != nil {
			return 0, err
		}
	}
	if err := tx.Identity().Bind(benchHash(1, int(n)), id.Person(n)); err != nil {
		return 0, err
	}
	return n, tx.Processor().Advance(eventlog.Live, last, n)
}

// checkNumbered finds transactions 1 … m whole, with m at least as given, and nothing else.
func checkNumbered(t *testing.T, s *State, least int64) {
	t.Helper()
	err := s.Read(t.Context(), func(tx store.Tx) error {
		last, err := tx.Profile().LastPack()
		if err != nil {
			return err
		}
		if last < least {
			t.Errorf("%d transactions are there, %d were acknowledged as durable", last, least)
		}
		for n := int64(1); n <= last; n++ {
			body, err := tx.Profile().Pack(n)
			if err != nil || len(body) < 16 || int64(binary.LittleEndian.Uint64(body[8:])) != n {
				t.Fatalf("pack %d of %d: %d bytes, %v", n, last, len(body), err)
			}
		}
		ids, err := tx.Persons().After(0, int(last)+10)
		if err != nil || int64(len(ids)) != last {
			t.Errorf("%d persons of %d (%v)", len(ids), last, err)
		}
		if err := tx.Persons().Load(ids, func(id.Person, []byte) error { return nil }); err != nil {
			return err
		}
		count, err := tx.Persons().Count()
		if err != nil || count != last {
			t.Errorf("the counter says %d persons of %d (%v)", count, last, err)
		}
		pos, err := tx.Processor().Position(eventlog.Live)
		if pos != last {
			t.Errorf("position %d of %d", pos, last)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.queue.Enter(t.Context(), store.Urgent); err != nil {
		t.Fatal(err)
	}
	defer s.queue.Leave()
	q := s.w.query("PRAGMA integrity_check")
	for q.step() {
		if q.colText(0) != "ok" {
			t.Errorf("integrity: %s", q.colText(0))
		}
	}
	if err := q.done(); err != nil {
		t.Fatal(err)
	}
}
