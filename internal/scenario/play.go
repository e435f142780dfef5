package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rapport/internal/app"
	"rapport/internal/project"
)

// Runner runs scenarios. Config, Dir and Load are required.
type Runner struct {
	Config  *project.Config
	Secrets project.Secrets
	Dir     string // an empty folder for the data of one scenario
	// Load reads a configuration folder that a step names.
	Load func(dir string) (*project.Config, error)
}

// Result is what came of one scenario.
type Result struct {
	Name  string
	Mails []Mail // all that left, in order
	Diffs []Diff // none: it passed
	Err   error  // why it could not be run to its end
}

// Passed tells whether everything was as expected.
func (r *Result) Passed() bool { return r.Err == nil && len(r.Diffs) == 0 }

// play is one scenario that runs.
type play struct {
	*Runner
	house  *app.House
	wire   *wire
	clock  *app.Clock
	manage string
	keys   map[string]string // by source
	serial int
}

// Run runs one scenario in a house of its own.
func (r *Runner) Run(ctx context.Context, s *Scenario) *Result {
	out := &Result{Name: s.Name}
	when, err := s.plan()
	if err != nil {
		out.Err = err
		return out
	}
	clock := app.NewClock(when.start, 0)
	p := &play{Runner: r, clock: clock, keys: map[string]string{}, wire: &wire{now: clock.Now, dead: map[string]bool{}}}
	out.Err = p.live(ctx, func(ctx context.Context) error {
		for i := range s.Steps {
			if err := p.step(ctx, &s.Steps[i], when.steps[i]); err != nil {
				return fmt.Errorf("step %d: %w", i+1, err)
			}
		}
		if err := p.reach(ctx, when.until); err != nil {
			return err
		}
		out.Mails, err = p.mails(ctx, when.start.Location())
		return err
	})
	if out.Err == nil {
		out.Diffs = compare(s.Expect.Mails, when.mails, out.Mails)
	}
	return out
}

// live opens the house, runs it while do does, and closes it.
func (p *play) live(ctx context.Context, do func(context.Context) error) (err error) {
	p.house, err = app.Open(ctx, app.Options{Data: p.Dir, Root: app.RootKey{Off: true}, Clock: p.clock, Secrets: p.Secrets, Wire: p.wire}, p.Config)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- p.house.Run(running)
		stop() // whoever waits for the walk must not wait for ever
	}()
	defer func() {
		stop()
		err = errors.Join(err, <-ended, p.house.Close())
	}()
	if err := p.house.Begin(running, p.Config); err != nil {
		return err
	}
	if p.manage, err = p.house.ManageKey(running); err != nil {
		return err
	}
	return do(running)
}

// reach moves business time to an instant, with all that is due before it.
func (p *play) reach(ctx context.Context, at time.Time) error {
	for {
		reached, err := p.house.Proceed(ctx, at)
		if err != nil {
			return err
		}
		if !reached.Before(at) {
			return nil
		}
	}
}

// mails gives what left, with what the house knows of each.
func (p *play) mails(ctx context.Context, zone *time.Location) ([]Mail, error) {
	p.wire.mu.Lock()
	left := append([]Mail(nil), p.wire.left...)
	p.wire.mu.Unlock()
	for i := range left {
		m := &left[i]
		story, err := p.house.Mail(ctx, m.id)
		if err != nil {
			return nil, err
		}
		m.At, m.Template, m.Journey, m.Step = m.At.In(zone), story.Template, story.Journey, story.Step
	}
	return left, nil
}

// step lets one thing happen at its instant and everything that follows at once.
func (p *play) step(ctx context.Context, s *Step, at time.Time) error {
	if err := p.reach(ctx, at); err != nil {
		return err
	}
	var err error
	switch {
	case s.Event != "":
		err = p.collect(ctx, s, map[string]any{"type": "track", "event": s.Event, "properties": s.Properties})
	case s.Identify != nil:
		err = p.collect(ctx, s, map[string]any{"type": "identify", "traits": s.Identify})
	case s.Group != "":
		err = p.collect(ctx, s, map[string]any{"type": "group", "groupId": s.Group, "traits": s.Traits})
	case s.Consent != nil:
		err = p.ask(ctx, "/v1/consent", map[string]any{"subject": reference(s.Person), "purpose": s.Consent.Purpose, "state": s.Consent.State})
	case s.Trigger != "":
		err = p.ask(ctx, "/v1/journeys/"+s.Trigger+"/trigger", map[string]any{"person": reference(s.Person), "properties": s.Properties})
	case s.Unsubscribe != "":
		err = p.leave(ctx, s.Unsubscribe)
	case s.Bounce != "":
		p.wire.vanish(s.Bounce)
	default:
		err = p.apply(ctx, s.Apply)
	}
	if err != nil {
		return err
	}
	return p.house.Told(ctx)
}

// reference gives an identifier with its kind: without one, what has an @ is an
// email and the rest a user id.
func reference(s string) string {
	switch {
	case strings.Contains(s, ":"):
		return s
	case strings.Contains(s, "@"):
		return "email:" + s
	}
	return "user_id:" + s
}

// collect sends an event as a server's SDK does.
func (p *play) collect(ctx context.Context, s *Step, body map[string]any) error {
	kind, value, _ := strings.Cut(reference(s.Person), ":")
	switch kind {
	case "user_id":
		body["userId"] = value
	case "anonymous_id":
		body["anonymousId"] = value
	case "email":
		body["context"] = map[string]any{"traits": map[string]any{"email": value}}
	default:
		body["context"] = map[string]any{"externalIds": []any{map[string]any{"id": value, "type": kind, "collection": "users", "encoding": "none"}}}
	}
	p.serial++
	body["messageId"] = fmt.Sprintf("step-%d", p.serial)
	body["timestamp"] = p.clock.Now().Format(time.RFC3339Nano)
	key, err := p.key(ctx, s.Source)
	if err != nil {
		return err
	}
	return p.post(ctx, "/v1/batch", map[string]any{"batch": []any{body}}, func(r *http.Request) { r.SetBasicAuth(key, "") })
}

// key gives the key of a source, "" for one of kind server.
func (p *play) key(ctx context.Context, source string) (string, error) {
	if source == "" {
		for _, s := range p.Config.Sources {
			if source == "" && s.Kind != project.FileSource || s.Kind == project.ServerSource {
				source = s.Name
			}
		}
	}
	if source == "" {
		return "", errors.New("the configuration has no source that takes events: add sources/shop.yaml")
	}
	if key, ok := p.keys[source]; ok {
		return key, nil
	}
	key, err := p.house.SourceKey(ctx, source, "scenario")
	p.keys[source] = key
	return key, err
}

// ask knocks at the operators' door.
func (p *play) ask(ctx context.Context, path string, body any) error {
	p.serial++
	return p.post(ctx, path, body, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+p.manage)
		r.Header.Set("Idempotency-Key", fmt.Sprintf("step-%d", p.serial))
	})
}

// leave follows the link of the last mail to an address, as mailbox providers do.
func (p *play) leave(ctx context.Context, address string) error {
	path := p.wire.last(address)
	if path == "" {
		return fmt.Errorf("no mail with a link to unsubscribe has left to %s yet", address)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://rapport.example"+path, strings.NewReader("List-Unsubscribe=One-Click"))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.knock(req)
}

func (p *play) apply(ctx context.Context, dir string) error {
	config, err := p.Load(dir)
	if err != nil {
		return err
	}
	_, err = p.house.Apply(ctx, config.Files, 0)
	return err
}

func (p *play) post(ctx context.Context, path string, body any, sign func(*http.Request)) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://rapport.example"+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	sign(req)
	return p.knock(req)
}

// knock gives a request to the house and reads refusals.
func (p *play) knock(req *http.Request) error {
	req.RemoteAddr = "127.0.0.1:1"
	a := answer{head: http.Header{}, code: http.StatusOK}
	p.house.Handler().ServeHTTP(&a, req)
	var said struct {
		Rejected int    `json:"rejected"`
		Denied   int    `json:"denied"`
		Detail   string `json:"detail"`
	}
	_ = json.Unmarshal(a.body.Bytes(), &said) // a page is no JSON and says nothing of these
	switch {
	case a.code >= 300:
		if said.Detail == "" {
			said.Detail = cut(a.body.String())
		}
		return fmt.Errorf("the house answered %d: %s", a.code, said.Detail)
	case said.Rejected > 0:
		return fmt.Errorf("the house rejected the event: %s", cut(a.body.String()))
	}
	return nil
}

// answer keeps what a door answers.
type answer struct {
	head http.Header
	code int
	body bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.head }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) { a.code = code }

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
