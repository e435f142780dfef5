//go:build unix

package sqlitestore

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/message"
	"rapport/internal/outbox"
	"rapport/internal/store"
)

const benchBody = 830 // bytes of a person's row, as measured with ten traits and a dozen tallies

// populate writes people with two identifiers each, identifiers in their order.
func populate(b testing.TB, s *State, people int) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, benchBody)
	const step = 10_000
	type bound struct {
		h   id.Hash
		who id.Person
	}
	idents := make([]bound, 0, people*2)
	for i := 1; i <= people; i++ {
		idents = append(idents, bound{benchHash(1, i), id.Person(i)}, bound{benchHash(2, i), id.Person(i)})
	}
	slices.SortFunc(idents, func(x, y bound) int { return slices.Compare(x.h[:], y.h[:]) })
	for first := 1; first <= people; first += step {
		err := s.Write(context.Background(), store.WriteOptions{}, func(tx store.Tx) error {
			for i := first; i < first+step && i <= people; i++ {
				for j := 0; j+8 <= len(body); j += 8 {
					binary.LittleEndian.PutUint64(body[j:], r.Uint64())
				}
				if err := tx.Persons().Insert(id.Person(i), body); err != nil {
					return err
				}
			}
			for _, k := range idents[2*(first-1) : min(2*(first-1+step), len(idents))] {
				if err := tx.Identity().Bind(k.h, k.who); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// cpuSince gives the processor time the whole process took since a mark: unlike
// wall time it hardly minds what else the machine does.
func cpuSince(mark time.Duration) time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // It cannot fail for oneself.
	return time.Duration(u.Utime.Nano()+u.Stime.Nano()) - mark
}

func benchPeople(b *testing.B) int {
	if n, err := strconv.Atoi(os.Getenv("RAPPORT_BENCH_PEOPLE")); err == nil {
		return n
	}
	return 100_000
}

// BenchmarkWalkBatch is the storage of a walked batch of 1,000 events: look up,
// load, update, append history and hashes, move the position.
func BenchmarkWalkBatch(b *testing.B) {
	people := benchPeople(b)
	for _, durable := range []bool{false, true} {
		b.Run(fmt.Sprintf("people=%d/durable=%v", people, durable), func(b *testing.B) {
			s := openState(b, Config{Path: filepath.Join(b.TempDir(), "state.db")})
			populate(b, s, people)
			w := newBenchWalk(s, people)
			var took []time.Duration
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuSince(0)
			for range b.N {
				d, err := w.batch(store.WriteOptions{Priority: store.Normal, Durable: durable})
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, d)
			}
			b.StopTimer()
			b.ReportMetric(float64(cpuSince(cpu).Microseconds())/float64(b.N*walkBatch), "cpu-µs/event")
			slices.Sort(took)
			b.ReportMetric(float64(b.N*walkBatch)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
		})
	}
}

const walkBatch = 1000

// benchWalk writes what a walker writes.
type benchWalk struct {
	s          *State
	r          *rand.Rand
	people     int
	packs, pos int64
	pack, seen []byte
}

func newBenchWalk(s *State, people int) *benchWalk {
	return &benchWalk{s: s, people: people, r: rand.New(rand.NewPCG(3, 4)), pack: make([]byte, 3300), seen: make([]byte, walkBatch*16)}
}

// batch writes one batch and tells how long the store took.
func (w *benchWalk) batch(o store.WriteOptions) (time.Duration, error) {
	hashes := make([]id.Hash, 0, 2*walkBatch)
	for range walkBatch {
		n := 1 + w.r.IntN(w.people)
		hashes = append(hashes, benchHash(1, n))
		if w.r.IntN(10) < 7 {
			hashes = append(hashes, benchHash(2, n))
		}
	}
	slices.SortFunc(hashes, func(x, y id.Hash) int { return slices.Compare(x[:], y[:]) })
	begin := time.Now()
	err := w.s.Write(context.Background(), o, func(tx store.Tx) error {
		who := make([]id.Person, len(hashes))
		if err := tx.Identity().Lookup(hashes, who); err != nil {
			return err
		}
		slices.Sort(who)
		who = slices.Compact(who)
		persons := tx.Persons()
		rows := make(map[id.Person][]byte, len(who))
		err := persons.Load(who, func(p id.Person, raw []byte) error {
			rows[p] = slices.Clone(raw)
			return nil
		})
		if err != nil {
			return err
		}
		for _, p := range who {
			row := rows[p]
			row[w.r.IntN(len(row))]++
			if err := persons.Update(p, row); err != nil {
				return err
			}
		}
		for range 26 {
			w.packs++
			if err := tx.Profile().AppendPack(w.packs, w.pack); err != nil {
				return err
			}
		}
		if err := tx.Processor().AppendSeen(noon, w.seen); err != nil {
			return err
		}
		w.pos += walkBatch
		return tx.Processor().Advance(eventlog.Live, w.pos-walkBatch, w.pos)
	})
	return time.Since(begin), err
}

// BenchmarkAppendBesideWalk is how long one client waits for a durable append
// while the state is written at about 25,000 events a second.
func BenchmarkAppendBesideWalk(b *testing.B) {
	people := benchPeople(b)
	dir := b.TempDir()
	s := openState(b, Config{Path: filepath.Join(dir, "state.db")})
	populate(b, s, people)
	frames, err := OpenLog(LogConfig{Path: filepath.Join(dir, "log.db")})
	if err != nil {
		b.Fatal(err)
	}
	log, err := eventlog.Open(eventlog.Config{Store: frames, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = log.Run(ctx) })
	group.Go(func() {
		w := newBenchWalk(s, people)
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if _, err := w.batch(store.WriteOptions{Priority: store.Normal}); err != nil {
				b.Error(err)
				return
			}
			<-tick.C
		}
	})
	benchAppend(b, log, 1, 1)
	stop()
	group.Wait()
	if err := frames.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMail is the storage of one mail from its decision to its end:
// inserted by the walk, claimed, handed over durably with a use of its cap,
// accepted; n mails share each transaction.
func BenchmarkMail(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("together=%d", n), func(b *testing.B) {
			s := openState(b, Config{Path: filepath.Join(b.TempDir(), "state.db")})
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuSince(0)
			for done := 0; done < b.N; done += n {
				benchMails(b, s, done, n)
			}
			b.StopTimer()
			b.ReportMetric(float64(cpuSince(cpu).Microseconds())/float64(b.N), "cpu-µs/mail")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
		})
	}
}

func benchMails(b *testing.B, s *State, first, n int) {
	at := noon.Add(time.Duration(first) * 100 * time.Microsecond)
	ctx := context.Background()
	inTx := func(durable bool, fn func(store.Tx) error) {
		if err := s.Write(ctx, store.WriteOptions{Durable: durable}, fn); err != nil {
			b.Fatal(err)
		}
	}
	inTx(false, func(tx store.Tx) error {
		for i := first; i < first+n; i++ {
			key := fmt.Sprintf("journey/welcome/per_%d/hello/%d", i, first)
			in := message.Intent{
				ID: id.NewMessage(at, key), Key: key, Person: id.Person(i * 7919 % 100_000), Template: "welcome",
				Purpose: "marketing.newsletter", Class: message.Triggered, Journey: "welcome", Step: "hello", Place: "p1", Version: 3,
				Cause: "0f5d3b0e-6f0e-4f0e-9a53-5e1d1c9a7a10", Data: make([]byte, 300), Decided: at, Due: at, ValidUntil: at.Add(24 * time.Hour),
			}
			if _, _, err := tx.Outbox().Insert(in, at); err != nil {
				return err
			}
		}
		return nil
	})
	var owed []outbox.Mail
	inTx(false, func(tx store.Tx) (err error) {
		if owed, err = tx.Outbox().Owed(at, n); err != nil {
			return err
		}
		for i := range owed {
			owed[i].State, owed[i].LeaseEnds = message.Claimed, at.Add(time.Minute)
			if err := tx.Outbox().Move(&owed[i], outbox.Step{State: message.Claimed, At: at}); err != nil {
				return err
			}
		}
		return nil
	})
	inTx(true, func(tx store.Tx) error {
		for i := range owed {
			m := &owed[i]
			m.State, m.MessageID = message.HandingOver, "<0000000000.0000000000000000@mail.example.test>"
			if _, err := tx.Outbox().Used(m.Person, at.Add(-time.Hour)); err != nil {
				return err
			}
			if err := tx.Outbox().Reserve(m.Person, m.ID, at); err != nil {
				return err
			}
			if err := tx.Outbox().Move(m, outbox.Step{State: message.HandingOver, At: at, Detail: []byte(`{"permission":"granted","record":"0f5d3b0e"}`)}); err != nil {
				return err
			}
		}
		return nil
	})
	inTx(false, func(tx store.Tx) error {
		for i := range owed {
			m := &owed[i]
			m.State, m.LeaseEnds = message.Accepted, time.Time{}
			if err := tx.Outbox().Move(m, outbox.Step{State: message.Accepted, At: at, Detail: []byte(`{"code":250,"reply":"queued"}`)}); err != nil {
				return err
			}
		}
		return nil
	})
	if len(owed) != n {
		b.Fatalf("%d mails were owed, want %d", len(owed), n)
	}
}
