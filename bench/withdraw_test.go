package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A thousand people are mailed slowly, and each of them withdraws at a random
// moment by one of four ways. No DATA begins after the 2xx of the withdrawal
// unless the mail was handed over before the ledger knew.
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
			s.mustBeOlder(ctx, t, who)
		}
	}
	t.Logf("%d of %d mailed before they withdrew, %d of those on the wire at the 2xx", mailed, people, late)
	if mailed == 0 || mailed == people {
		t.Error("the withdrawals did not meet the mails: the test shows nothing")
	}
}

// withdraw says no by link, by API, by an SDK's event, or by a privacy signal.
func (s *server) withdraw(ctx context.Context, way, who int, link string) error {
	user := fmt.Sprintf("user-%07d", who)
	switch way {
	case 0:
		u, err := url.Parse(link)
		if err != nil {
			return err
		}
		return ok(http.NewRequestWithContext(ctx, "POST", s.address+u.RequestURI(), strings.NewReader("List-Unsubscribe=One-Click")))(func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		})
	case 1:
		var a map[string]any
		return s.call(ctx, "POST", "/v1/consent", map[string]any{
			"subject": "user_id:" + user, "purpose": "marketing.newsletter", "state": "withdrawn",
		}, &a)
	case 2:
		body := fmt.Sprintf(`{"userId":"%s","event":"Banner Closed","context":{"consent":{"categoryPreferences":{"marketing":false}}}}`, user)
		return ok(http.NewRequestWithContext(ctx, "POST", s.address+"/v1/track", strings.NewReader(body)))(s.asSource)
	default:
		body := fmt.Sprintf(`{"userId":"%s","event":"Page Seen"}`, user)
		return ok(http.NewRequestWithContext(ctx, "POST", s.address+"/v1/track", strings.NewReader(body)))(func(r *http.Request) {
			s.asSource(r)
			r.Header.Set("Sec-GPC", "1")
		})
	}
}

func (s *server) asSource(r *http.Request) { r.SetBasicAuth(s.ingest, "") }

// ok sends a request and fails for anything but 2xx.
func ok(r *http.Request, err error) func(func(*http.Request)) error {
	return func(with func(*http.Request)) error {
		if err != nil {
			return err
		}
		with(r)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode > 299 {
			return fmt.Errorf("%s: %s", r.URL.Path, res.Status)
		}
		return nil
	}
}

// mustBeOlder holds a mail whose DATA began after the 2xx against the ledger.
func (s *server) mustBeOlder(ctx context.Context, t *testing.T, who int) {
	t.Helper()
	var p struct {
		Permission []struct {
			Purpose string    `json:"purpose"`
			At      time.Time `json:"at"`
		} `json:"permission"`
	}
	if err := s.call(ctx, "GET", fmt.Sprintf("/v1/people/user_id:user-%07d", who), nil, &p); err != nil {
		t.Fatal(err)
	}
	var list struct {
		Messages []struct{ ID string } `json:"messages"`
	}
	if err := s.call(ctx, "GET", fmt.Sprintf("/v1/messages?person=user_id:user-%07d", who), nil, &list); err != nil {
		t.Fatal(err)
	}
	var m struct {
		Story []struct {
			State string    `json:"state"`
			At    time.Time `json:"at"`
		} `json:"story"`
	}
	if err := s.call(ctx, "GET", "/v1/messages/"+list.Messages[0].ID, nil, &m); err != nil {
		t.Fatal(err)
	}
	for _, step := range m.Story {
		if step.State != "handing_over" {
			continue
		}
		for _, x := range p.Permission {
			if x.Purpose == "marketing.newsletter" && step.At.After(x.At) {
				t.Errorf("person %d was mailed after they withdrew: handed over %s, withdrawn %s", who, step.At, x.At)
			}
		}
		return
	}
	t.Errorf("person %d: the mail has no hand-over", who)
}
