package bench

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// withdrawal measures how long a withdrawal waits for its answer while mails to
// everybody leave as fast as they go, by each of four ways, and counts what was
// sent to those who had their answer: nothing may be.
func withdrawal(ctx context.Context, b *run) ([]Result, error) {
	people := min(b.People, mostWithdrawn)
	s, err := b.start(ctx, shape{asks: true})
	if err != nil {
		return nil, err
	}
	defer b.stop()
	if err := s.everybody(ctx, "a", people, true); err != nil {
		return nil, err
	}
	if got := b.sink.wait(int64(people), 2*time.Minute); got != int64(people) {
		return nil, fmt.Errorf("%d of %d first mails came", got, people)
	}
	links := b.sink.leave
	b.sink.reset()

	perSecond := max(1, people/2/int(b.Duration.Seconds()+1)) // Half of the people withdraw.
	perSecond = min(perSecond, 200)
	var withdrew sync.Map // person → when the answer came
	samples := make([][]time.Duration, len(ways))
	var mu sync.Mutex
	var failed, rounds atomic.Int64
	busy, stop := context.WithTimeout(ctx, b.Duration)
	defer stop()
	var group sync.WaitGroup
	before, began := s.usage(), time.Now()
	group.Go(func() { // Mails to everybody, again and again: there are always some owed.
		for busy.Err() == nil {
			n := rounds.Add(1)
			if err := s.everybody(busy, fmt.Sprintf("b%d-", n), people, false); err != nil {
				return // Its time is over, or the server is gone, which the withdrawals tell.
			}
			_ = b.sink.wait(n*int64(people)/2, b.Duration) // About as many as can still be sent.
		}
	})
	n := int(b.Duration.Seconds() * float64(perSecond))
	slots := make(chan struct{}, 16)
	for k := range n {
		time.Sleep(time.Until(began.Add(time.Duration(k) * time.Second / time.Duration(perSecond))))
		if busy.Err() != nil {
			break
		}
		who, way := k, k%len(ways)
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			at := time.Now()
			if err := s.withdraw(ctx, way, who, links[fmt.Sprintf("a%d", who)]); err != nil {
				failed.Add(1)
				return
			}
			done := time.Now()
			withdrew.Store(who, done)
			mu.Lock()
			samples[way] = append(samples[way], done.Sub(at))
			mu.Unlock()
		})
	}
	group.Wait()
	took := time.Since(began)
	mails := b.sink.wait(0, 0)
	if err := s.calm(ctx); err != nil {
		return nil, err
	}
	wire, late, err := b.afterwards(ctx, s, &withdrew, int(rounds.Load()))
	if err != nil {
		return nil, err
	}
	// A further round: nobody who withdrew gets any of it.
	b.sink.reset()
	again := int64(0)
	if err := s.everybody(ctx, "c", people, false); err != nil {
		return nil, err
	}
	if err := s.calm(ctx); err != nil {
		return nil, err
	}
	withdrew.Range(func(who, _ any) bool {
		if _, came := b.sink.arrived(fmt.Sprintf("c%d", who)); came {
			again++
		}
		return true
	})
	late += again
	return b.withdrawn(s, samples, &before, took, mails, wire, late, failed.Load()), nil
}

// mostWithdrawn bounds how many people the scenario makes.
const mostWithdrawn = 10_000

func (b *run) withdrawn(s *server, samples [][]time.Duration, before *usage, took time.Duration, mails, wire, late, failed int64) []Result {
	var all []time.Duration
	for _, own := range samples {
		all = append(all, own...)
	}
	whole := Result{Name: "withdrawal → 2xx, mails to everybody meanwhile", Items: int64(len(all)), Rate: float64(len(all)) / took.Seconds(), Failed: failed + late}
	whole.P50, whole.P99, whole.Max = spread(all)
	whole.Note = fmt.Sprintf("%s mails/s meanwhile; %d on the wire at the 2xx, %d handed over after it", number(float64(mails)/took.Seconds()), wire, late)
	s.measure(&whole, *before, int64(len(all))+mails)
	out := []Result{whole}
	for way, own := range samples {
		r := Result{Name: "withdrawal by " + ways[way], Items: int64(len(own)), Rate: float64(len(own)) / took.Seconds()}
		r.P50, r.P99, r.Max = spread(own)
		out = append(out, r)
	}
	return out
}

// afterwards counts mails whose DATA began after the answer to a withdrawal: those
// that had been handed over before the ledger knew, and those that had not.
func (b *run) afterwards(ctx context.Context, s *server, withdrew *sync.Map, rounds int) (wire, late int64, err error) {
	withdrew.Range(func(who, at any) bool {
		for n := 1; n <= rounds; n++ {
			b.sink.mu.Lock()
			data, came := b.sink.began[fmt.Sprintf("b%d-%d", n, who)]
			b.sink.mu.Unlock()
			if !came || !data.After(at.(time.Time)) { //nolint:forcetypeassert // Only instants are stored.
				continue
			}
			older := false
			if older, err = s.handedOverBefore(ctx, who.(int), at.(time.Time)); err != nil { //nolint:forcetypeassert // Only numbers are.
				return false
			}
			if older {
				wire++
			} else {
				late++
			}
		}
		return true
	})
	return wire, late, err
}

// everybody sets a mail off for each of so many people; with yes they permit it.
func (s *server) everybody(ctx context.Context, round string, people int, yes bool) error {
	c, err := s.dial("/v1/batch", s.ingest)
	if err != nil {
		return err
	}
	defer func() { _ = c.c.Close() }()
	said := ""
	if yes {
		said = `,"consent":{"categoryPreferences":{"marketing":true}}`
	}
	for from := 0; from < people && ctx.Err() == nil; from += 100 {
		body := []byte(`{"batch":[`)
		for who := from; who < min(from+100, people); who++ {
			if who > from {
				body = append(body, ',')
			}
			body = fmt.Appendf(body, `{"type":"track","messageId":"%s%d","userId":"user-%07d","event":"Trigger","context":{"traits":{"email":"user-%07d@shop.example"}%s},"properties":{"ref":"%s%d"}}`, round, who, who, who, said, round, who)
		}
		if err := c.post(append(body, `]}`...)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// ways are the ways in which a withdrawal can come.
var ways = []string{"one-click link", "API", "an SDK's event", "a privacy signal"}

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

// handedOverBefore tells whether every mail to somebody that was handed over was so
// before their withdrawal was answered.
func (s *server) handedOverBefore(ctx context.Context, who int, answered time.Time) (bool, error) {
	var list struct {
		Messages []struct{ ID string } `json:"messages"`
	}
	if err := s.call(ctx, "GET", fmt.Sprintf("/v1/messages?person=user_id:user-%07d", who), nil, &list); err != nil {
		return false, err
	}
	told := false
	for _, one := range list.Messages {
		var m struct {
			Story []struct {
				State string    `json:"state"`
				At    time.Time `json:"at"`
			} `json:"story"`
		}
		if err := s.call(ctx, "GET", "/v1/messages/"+one.ID, nil, &m); err != nil {
			return false, err
		}
		for _, step := range m.Story {
			told = told || step.State == "handing_over"
			if step.State == "handing_over" && step.At.After(answered) {
				return false, nil
			}
		}
	}
	if !told {
		return false, fmt.Errorf("person %d: no mail has a hand-over", who)
	}
	return true, nil
}
