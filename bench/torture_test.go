package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"rapport/internal/store/pgstore/pgtest"
)

// The house is killed again and again while it takes events and sends mails, as
// a whole process with everything real: HTTP, files, SMTP. The client keeps its
// own record of what was acknowledged, the sink of what came.
//
// RAPPORT_ROUNDS sets the number of kills (20), RAPPORT_SEED the seed.

const (
	tortureEvents  = 2400 // a second, at least 2,000 wanted
	tortureMails   = 240  // a second, at least 200 wanted
	tortureClients = 4
)

func intEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func buildRapport(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "rapport")
	if out, err := exec.Command("go", "build", "-o", program, "rapport/cmd/rapport").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// killedConnections is how many mails can be on the wire when the server is killed.
const killedConnections = 16

// record is what the client knows: every event it was told is safe.
type record struct {
	mu    sync.Mutex
	acked map[int]map[string]bool // person → message ids
	refs  map[string]bool         // of mails that must be decided, with whether they are transactional
	total int
}

func TestKilledAgainAndAgainNothingIsLostAndNothingTwice(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { killedAgain(t, "") })
	t.Run("PostgreSQL", func(t *testing.T) { killedAgain(t, pgtest.Server(t)) })
}

func killedAgain(t *testing.T, database string) {
	t.Helper()
	rounds, seed := intEnv(t, "RAPPORT_ROUNDS", 20), intEnv(t, "RAPPORT_SEED", int(time.Now().UnixNano()&0xffffff))
	t.Logf("rounds %d, seed %d", rounds, seed)
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	people := max(200, 10*rounds) // so that nobody's list of mails needs a second page
	ctx, stop := context.WithTimeout(context.Background(), time.Duration(rounds)*15*time.Second+2*time.Minute)
	defer stop()

	b := &run{Options: Options{Program: buildRapport(t), Dir: t.TempDir(), Out: os.Stderr, People: people, Database: database}}
	defer b.stop()
	s, err := b.start(ctx, shape{connections: killedConnections})
	if err != nil {
		t.Fatal(err)
	}
	rec := &record{acked: map[int]map[string]bool{}, refs: map[string]bool{}}
	clients := make([]*tortureClient, tortureClients)
	for i := range clients {
		clients[i] = &tortureClient{id: i, people: people, rec: rec, r: rand.New(rand.NewPCG(uint64(seed), uint64(100+i)))}
	}
	unknown := int64(0)
	for round := range rounds {
		tortureRound(ctx, t, s, clients, time.Duration(r.Int64N(int64(2*time.Second))))
		if err := s.launch(ctx, b.Program); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		st, err := s.status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		now := st.Mails["unknown"] + st.Mails["resolved"]
		if now-unknown > killedConnections {
			t.Errorf("seed %d, round %d: %d mails of unknown end, at most %d could be on the wire", seed, round, now-unknown, killedConnections)
		}
		unknown = now
	}
	for _, c := range clients { // what was not acknowledged is sent again, as an SDK would
		if err := c.finish(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.calm(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events acknowledged, %d mails to decide, %d of unknown end", rec.total, len(rec.refs), unknown)
	checkEvents(ctx, t, s, rec)
	checkMails(ctx, t, s, b.sink, rec)
}

// tortureRound sends until the server is killed.
func tortureRound(ctx context.Context, t *testing.T, s *server, clients []*tortureClient, after time.Duration) {
	t.Helper()
	inner, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	for _, c := range clients {
		group.Go(func() { c.run(inner, s) })
	}
	select {
	case <-time.After(after): // the random moment
	case <-ctx.Done():
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	stop()
	group.Wait()
}

// tortureClient sends batches at a steady pace and keeps the one that was not
// acknowledged.
type tortureClient struct {
	id, serial int
	people     int
	rec        *record
	r          *rand.Rand
	body       []byte
	ids        map[int][]string
	refs       map[string]bool
}

// next makes a batch: plain events, and triggers that owe a mail each.
func (c *tortureClient) next() {
	const size = 30
	c.ids, c.refs = map[int][]string{}, map[string]bool{}
	c.body = append(c.body[:0], `{"batch":[`...)
	for i := range size {
		c.serial++
		who := c.r.IntN(c.people)
		mid := fmt.Sprintf("k%d-%d", c.id, c.serial)
		if i > 0 {
			c.body = append(c.body, ',')
		}
		if i%(tortureEvents/tortureMails) == 0 {
			c.refs[mid] = false
			c.body = fmt.Appendf(c.body, `{"type":"track","messageId":"%s","userId":"user-%07d","event":"Trigger","context":{"traits":{"email":"user-%07d@shop.example"}},"properties":{"ref":"%s"}}`, mid, who, who, mid)
		} else {
			c.body = fmt.Appendf(c.body, `{"type":"track","messageId":"%s","userId":"user-%07d","event":"Product Viewed","context":{"traits":{"email":"user-%07d@shop.example"}},"properties":{"n":%d}}`, mid, who, who, c.serial)
		}
		c.ids[who] = append(c.ids[who], mid)
	}
	c.body = append(c.body, `]}`...)
}

func (c *tortureClient) acknowledged() {
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	for who, ids := range c.ids {
		if c.rec.acked[who] == nil {
			c.rec.acked[who] = map[string]bool{}
		}
		for _, id := range ids {
			c.rec.acked[who][id] = true
			c.rec.total++
		}
	}
	for ref, tx := range c.refs {
		c.rec.refs[ref] = tx
	}
	c.body = c.body[:0]
}

func (c *tortureClient) run(ctx context.Context, s *server) {
	conn, err := s.dial("/v1/batch", s.ingest)
	if err != nil {
		return
	}
	defer func() { _ = conn.c.Close() }()
	tick := time.NewTicker(30 * tortureClients * time.Second / tortureEvents)
	defer tick.Stop()
	for ctx.Err() == nil {
		if len(c.body) == 0 {
			c.next()
		}
		if conn.post(c.body) != nil {
			return // the same batch is sent again in the next round
		}
		c.acknowledged()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (c *tortureClient) finish(s *server) error {
	if len(c.body) == 0 {
		return nil
	}
	conn, err := s.dial("/v1/batch", s.ingest)
	if err != nil {
		return err
	}
	defer func() { _ = conn.c.Close() }()
	if err := conn.post(c.body); err != nil {
		return err
	}
	c.acknowledged()
	return nil
}

// checkEvents holds each person's timeline against the client's record: every
// acknowledged event stands there once, and nothing else does.
func checkEvents(ctx context.Context, t *testing.T, s *server, rec *record) {
	t.Helper()
	for who, acked := range rec.acked {
		seen := map[string]int{}
		for cursor := ""; ; {
			var page struct {
				Events []struct {
					Source    string `json:"source"`
					MessageID string `json:"message_id"`
				} `json:"events"`
				Cursor string `json:"cursor"`
			}
			path := fmt.Sprintf("/v1/people/user_id:user-%07d/events?limit=200&cursor=%s", who, url.QueryEscape(cursor))
			if err := s.call(ctx, "GET", path, nil, &page); err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				if e.Source == "shop" {
					seen[e.MessageID]++
				}
			}
			if cursor = page.Cursor; cursor == "" {
				break
			}
		}
		for id := range acked {
			if seen[id] != 1 {
				t.Errorf("event %s of person %d was acknowledged and stands in the timeline %d times", id, who, seen[id])
			}
		}
		for id := range seen {
			if !acked[id] {
				t.Errorf("event %s of person %d was never acknowledged", id, who)
			}
		}
	}
}

// checkMails holds the ledger against the sink: each mail was decided once; what
// the ledger calls accepted came once; what came and is not accepted is of
// unknown end.
func checkMails(ctx context.Context, t *testing.T, s *server, k *sink, rec *record) {
	t.Helper()
	decided := map[string]int{}
	for who := range rec.acked {
		var list struct {
			Messages []struct {
				State     string          `json:"state"`
				Subject   string          `json:"subject"`
				Reason    string          `json:"reason"`
				Journey   string          `json:"journey"`
				Duplicate bool            `json:"duplicate_possible"`
				ID        json.RawMessage `json:"id"`
			} `json:"messages"`
		}
		if err := s.call(ctx, "GET", fmt.Sprintf("/v1/messages?person=user_id:user-%07d&limit=200", who), nil, &list); err != nil {
			t.Fatal(err)
		}
		for _, m := range list.Messages {
			if m.Journey != "j2" {
				continue
			}
			ref := m.Subject[len("News "):]
			decided[ref]++
			came := k.times[ref]
			switch {
			case m.State == "accepted" && came != 1:
				t.Errorf("mail %s is accepted and came %d times", ref, came)
			case (m.State == "unknown" || m.State == "resolved") && came > 1:
				t.Errorf("mail %s is of unknown end and came %d times: marketing is never sent twice", ref, came)
			case m.State != "accepted" && m.State != "unknown" && m.State != "resolved":
				t.Errorf("mail %s ended %s (%s)", ref, m.State, m.Reason)
			}
		}
	}
	for ref := range rec.refs {
		if decided[ref] != 1 {
			t.Errorf("the mail of event %s was decided %d times", ref, decided[ref])
		}
	}
}
