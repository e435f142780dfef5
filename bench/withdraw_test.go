package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
)

// A thousand people are mailed slowly, and each of them withdraws at a random
// moment by one of four ways. No DATA begins after the 2xx of the withdrawal
// unless the mail was handed over before that.
func TestNobodyIsMailedAfterTheyWithdrew(t *testing.T) {
	const people = 1000
	seed := intEnv(t, "RAPPORT_SEED", int(time.Now().UnixNano()&0xffffff))
	t.Logf("seed %d", seed)
	ctx, stop := context.WithTimeout(context.Background(), 4*time.Minute)
	defer stop()
	b := &run{Options: Options{Program: buildRapport(t), Dir: t.TempDir(), Out: os.Stderr, People: people}}
	defer b.stop()
	s, err := b.start(ctx, shape{asks: true, perSecond: 250})
	if err != nil {
		t.Fatal(err)
	}
	// Everybody says yes and gets a first mail, whose link some use later.
	trigger := func(round string) {
		t.Helper()
		for from := 0; from < people; from += 100 {
			body := []byte(`{"batch":[`)
			for who := from; who < from+100; who++ {
				if who > from {
					body = append(body, ',')
				}
				yes := ""
				if round == "a" {
					yes = `,"consent":{"categoryPreferences":{"marketing":true}}`
				}
				body = fmt.Appendf(body, `{"type":"track","messageId":"%s%d","userId":"user-%07d","event":"Trigger","context":{"traits":{"email":"user-%07d@shop.example"}%s},"properties":{"ref":"%s%d"}}`, round, who, who, who, yes, round, who)
			}
			c, err := s.dial("/v1/batch", s.ingest)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.post(append(body, `]}`...)); err != nil {
				t.Fatal(err)
			}
			_ = c.c.Close()
		}
	}
	trigger("a")
	if got := b.sink.wait(people, time.Minute); got != people {
		t.Fatalf("%d first mails, want %d", got, people)
	}
	links := b.sink.leave
	b.sink.reset()

	trigger("b") // takes four seconds to leave
	r := rand.New(rand.NewPCG(uint64(seed), 2))
	withdrew := make([]time.Time, people)
	var group sync.WaitGroup
	slots := make(chan struct{}, 16)
	began := time.Now()
	for who := range people {
		at := began.Add(time.Duration(r.Int64N(int64(4 * time.Second))))
		way := r.IntN(4)
		group.Go(func() {
			time.Sleep(time.Until(at)) // the random moment
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := s.withdraw(ctx, way, who, links[fmt.Sprintf("a%d", who)]); err != nil {
				t.Errorf("way %d: %v", way, err)
				return
			}
			withdrew[who] = time.Now()
		})
	}
	group.Wait()
	if err := s.calm(ctx); err != nil {
		t.Fatal(err)
	}
	mailed, late := 0, 0
	for who, at := range withdrew {
		data, came := b.sink.began[fmt.Sprintf("b%d", who)]
		if came {
			mailed++
		}
		if came && !at.IsZero() && data.After(at) {
			late++
			s.mustBeOlder(ctx, t, who, at)
		}
	}
	t.Logf("%d of %d mailed before they withdrew, %d of those on the wire at the 2xx", mailed, people, late)
	if mailed == 0 || mailed == people {
		t.Error("the withdrawals did not meet the mails: the test shows nothing")
	}
}

// mustBeOlder holds a mail whose DATA began after the 2xx against its story.
func (s *server) mustBeOlder(ctx context.Context, t *testing.T, who int, answered time.Time) {
	t.Helper()
	older, err := s.handedOverBefore(ctx, who, answered)
	if err != nil {
		t.Fatal(err)
	}
	if !older {
		t.Errorf("person %d was mailed after they withdrew", who)
	}
}
