package content

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"rapport/internal/consent"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/liquid"
	"rapport/internal/message"
	"rapport/internal/profile"
	"rapport/internal/purpose"
)

const (
	news = purpose.Purpose("marketing.newsletter")
	ada  = "ada@mail.example"
)

// permits is a Permission that allows what it lists.
type permits struct {
	policy *consent.Policy
	allow  []purpose.Purpose
	asked  []consent.Question
}

func (p *permits) Policy() *consent.Policy { return p.policy }

func (p *permits) DecideAll(_ context.Context, questions ...consent.Question) []consent.Decision {
	var out []consent.Decision
	for _, q := range questions {
		p.asked = append(p.asked, q)
		d := consent.Decision{Reason: consent.IsWithdrawn}
		if slices.Contains(p.allow, q.Purpose) {
			d = consent.Decision{Effect: consent.Allow, Reason: consent.ByGrant}
		}
		out = append(out, d)
	}
	return out
}

// plainLinks makes readable links.
type plainLinks struct{}

func (plainLinks) Unsubscribe(m id.Message, _ id.Hash, p purpose.Purpose) string {
	return "https://mail.shop.example/u/" + string(p)
}
func (plainLinks) Preferences(m id.Message, _ id.Hash, p purpose.Purpose) string {
	return "https://mail.shop.example/p/" + string(p)
}
func (plainLinks) Open(m id.Message) string { return "https://mail.shop.example/o/t.gif" }
func (plainLinks) Click(m id.Message, n int, url string) string {
	return fmt.Sprintf("https://mail.shop.example/c/%d?u=%s", n, url)
}

// one is a Store of one person with these traits.
type one map[string]any

func (o one) Open(_ context.Context, who id.Person, why purpose.Purpose) (Person, error) {
	if who != 1 {
		return Person{}, fault.New(fault.NotFound, "person_gone", "there is no such person")
	}
	p := &profile.Profile{}
	for name, v := range o {
		raw, err := json.Marshal(v)
		if err != nil {
			return Person{}, err
		}
		p.Traits = append(p.Traits, profile.Trait{Name: name, Value: raw, At: 1})
	}
	slices.SortFunc(p.Traits, func(a, b profile.Trait) int { return strings.Compare(a.Name, b.Name) })
	email, _ := o["email"].(string)
	return Person{Email: email, Subjects: []id.Hash{{1}}, View: p.View(why, nil)}, nil
}

func policy(t testing.TB) *consent.Policy {
	t.Helper()
	p, problems := consent.ParsePolicy(node(t, consent.Starter))
	if p == nil {
		t.Fatal(problems)
	}
	return p
}

func node(t testing.TB, text string) *yaml.Node {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Load([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return &doc
}

type files map[string]string

func (f files) parse(t testing.TB) (*Template, []Problem) {
	t.Helper()
	in := map[string][]byte{}
	for name, body := range f {
		if name != sheet {
			in[name] = []byte(body)
		}
	}
	return ParseTemplate("welcome", node(t, f[sheet]), in, policy(t))
}

type shop struct {
	t      testing.TB
	r      *Renderer
	allow  *permits
	intent message.Intent
	now    time.Time
}

// setup makes a renderer with one template and one person.
func setup(t testing.TB, f files, person one, allow ...purpose.Purpose) *shop {
	t.Helper()
	tpl, problems := f.parse(t)
	if tpl == nil {
		t.Fatalf("template refused: %+v", problems)
	}
	h, err := id.NewHasher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, allow: &permits{policy: policy(t), allow: allow}, now: time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)}
	s.r, err = New(Config{Budget: time.Minute, People: person, Permission: s.allow, Links: plainLinks{}, Hasher: h, Set: &Set{
		Version: 3, Templates: map[string]*Template{"welcome": tpl},
		Workspace: Workspace{Name: "Acorn Books", From: message.Address{Name: "Acorn Books", Email: "hello@shop.example"}, Domain: "shop.example", Postal: "1 Oak Lane, Leafton", FeedbackID: "acornbooks"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.intent = message.Intent{ID: id.NewMessage(s.now, "k"), Person: 1, Template: "welcome", Purpose: tpl.Purpose, Class: message.Triggered, Journey: "welcome"}
	return s
}

func (s *shop) render() (message.Rendered, error) {
	out, parts, err := s.r.Render(context.Background(), s.intent, s.now)
	if err == nil {
		if kept, err := DecodeParts(parts); err != nil || kept.Subject != out.Subject || string(kept.HTML) != string(out.HTML) || len(kept.Headers) != len(out.Headers) {
			s.t.Errorf("parts do not come back: %v", err)
		}
		for _, h := range append(out.Headers, [2]string{"Subject", out.Subject}, [2]string{"From", out.From.Name + out.From.Email}, [2]string{"To", out.To.Name + out.To.Email}, [2]string{"Message-ID", out.MessageID}) {
			if strings.ContainsAny(h[1], "\r\n\x00") {
				s.t.Errorf("header %s holds a line end: %q", h[0], h[1])
			}
		}
	}
	return out, err
}

const foot = `<p>{{ workspace.postal_address }} <a href="{{ mail.unsubscribe_url }}">Unsubscribe</a></p>`

func welcome(body string) files {
	return files{sheet: "subject: 'Welcome, {{ person.first_name | default: \"friend\" }}'\npurpose: marketing.newsletter\n", "body.html": body + foot}
}

func TestRenderMakesAWholeMail(t *testing.T) {
	t.Parallel()
	f := welcome(`<h1>Hi {{ person.first_name | default: "there" }},</h1><p>Read <a href="https://shop.example/a?b=1&amp;c=2">this</a>.</p>`)
	f[sheet] += "preheader: Your first look inside\n"
	s := setup(t, f, one{"email": ada, "first_name": "Ada", "last_name": "Byron"}, news, purpose.OpenTrack, purpose.ClickTrack, purpose.Profiling)
	out, err := s.render()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<h1>Hi Ada,</h1>", `href="https://mail.shop.example/c/1?u=https://shop.example/a?b=1&amp;c=2"`, `href="https://mail.shop.example/u/marketing.newsletter"`, `/o/t.gif" width="1"`, "Your first look inside", "1 Oak Lane"} {
		if !strings.Contains(string(out.HTML), want) {
			t.Errorf("HTML lacks %s:\n%s", want, out.HTML)
		}
	}
	wantText := "Hi Ada,\n\nRead this <https://shop.example/a?b=1&c=2>.\n\n1 Oak Lane, Leafton Unsubscribe <https://mail.shop.example/u/marketing.newsletter>\n"
	if string(out.Text) != wantText {
		t.Errorf("text part:\n%q\nwant\n%q", out.Text, wantText)
	}
	heads := map[string]string{}
	for _, h := range out.Headers {
		heads[h[0]] = h[1]
	}
	for name, want := range map[string]string{
		"List-Unsubscribe": "<https://mail.shop.example/u/marketing.newsletter>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		"Feedback-ID": "welcome:welcome:triggered:acornbooks",
	} {
		if heads[name] != want {
			t.Errorf("%s: %q, want %q", name, heads[name], want)
		}
	}
	if want := "<" + s.intent.ID.String() + "@shop.example>"; out.MessageID != want {
		t.Errorf("Message-ID %s, want %s", out.MessageID, want)
	}
	if out.Subject != "Welcome, Ada" || out.To.Name != "Ada Byron" || out.To.Email != ada || out.Fallbacks != 0 {
		t.Errorf("got %q to %v, %d fallbacks", out.Subject, out.To, out.Fallbacks)
	}
	again, err := s.render()
	if err != nil || again.MessageID != out.MessageID || string(again.HTML) != string(out.HTML) {
		t.Error("rendering again gives another mail")
	}
}

// Fault 24: a missing attribute, null, a wrong type.
func TestNeverAHoleInAMail(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"null": nil, "empty": "", "spaces": "  \u00a0", "an object": map[string]any{"a": 1}, "a list": []int{1}, "a number": 4, "false": false,
		"template signs": "{{ first_name }}", "a tag": "{% if %}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, welcome(`<p>Hi {{ person.first_name | default: "there" }},</p>`), one{"email": ada, "first_name": value}, news, purpose.Profiling)
			out, err := s.render()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(out.HTML), "Hi there,") || out.Subject != "Welcome, friend" || !strings.HasPrefix(string(out.Text), "Hi there,") {
				t.Errorf("subject %q, text %q", out.Subject, out.Text)
			}
			if out.Fallbacks != 2 || s.r.Fallbacks() != 2 {
				t.Errorf("%d fallbacks, %d counted, want 2", out.Fallbacks, s.r.Fallbacks())
			}
		})
	}
}

// Fault 25: HTML and JavaScript in an attribute.
func TestValuesAreEscapedWhereTheyStand(t *testing.T) {
	t.Parallel()
	evil := `<script>alert("x")</script>&'`
	s := setup(t, welcome(`<p title="{{ person.first_name | default: "" }}">{{ person.first_name | default: "x" }}</p><a href="https://shop.example/?q={{ person.first_name | default: "x" }}">go</a><a href="{{ person.website | default: "https://shop.example/" }}">site</a>`),
		one{"email": ada, "first_name": evil, "website": "javascript:alert(1)"}, news, purpose.Profiling)
	out, err := s.render()
	if err != nil {
		t.Fatal(err)
	}
	page := string(out.HTML)
	if strings.Contains(page, "<script") || strings.Contains(page, `title="<`) || strings.Contains(page, "javascript:") {
		t.Errorf("not escaped: %s", page)
	}
	if !strings.Contains(page, "?q=%3Cscript%3E") {
		t.Errorf("a URL is not encoded: %s", page)
	}
	if !strings.Contains(string(out.Text), evil) {
		t.Errorf("a text part is for reading, not for parsing: %s", out.Text)
	}
}

// Fault 18: line ends in whatever becomes a header.
func TestNoValueBreaksAHeader(t *testing.T) {
	t.Parallel()
	evil := "Ada\r\nBcc: all@shop.example\r\n\r\n\u202eHello\x00"
	s := setup(t, welcome(`<p>x</p>`), one{"email": ada, "first_name": evil, "last_name": "Byron"}, news, purpose.Profiling)
	out, err := s.render()
	if err != nil {
		t.Fatal(err)
	}
	if want := "Welcome, Ada Bcc: all@shop.example Hello"; out.Subject != want {
		t.Errorf("subject %q, want %q", out.Subject, want)
	}
	if out.To.Name != "" {
		t.Errorf("a name that looks like an address is shown: %q", out.To.Name)
	}
}

func TestTrackingIsAskedPerPerson(t *testing.T) {
	t.Parallel()
	s := setup(t, welcome(`<p><a href="https://shop.example/">shop</a></p>`), one{"email": ada}, news)
	out, err := s.render()
	if err != nil {
		t.Fatal(err)
	}
	if page := string(out.HTML); strings.Contains(page, "/o/") || strings.Contains(page, "/c/") || !strings.Contains(page, `href="https://shop.example/"`) {
		t.Errorf("tracked without permission: %s", page)
	}
	for _, q := range s.allow.asked {
		if q.Address == (id.Hash{}) || len(q.Subjects) == 0 || !q.At.Equal(s.now) {
			t.Errorf("asked without address, subjects or time: %+v", q)
		}
	}
}

func TestPermissionSkipsTheMail(t *testing.T) {
	t.Parallel()
	s := setup(t, welcome(`<p>x</p>`), one{"email": ada})
	_, err := s.render()
	if fault.KindOf(err) != fault.Denied || fault.CodeOf(err) != consent.IsWithdrawn {
		t.Errorf("got %v", err)
	}
	s = setup(t, welcome(`<p>x</p>`), one{}, news)
	if _, err = s.render(); fault.KindOf(err) != fault.NotFound || fault.CodeOf(err) != NoAddress {
		t.Errorf("no address: got %v", err)
	}
	s.intent.Person = 2
	if _, err = s.render(); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no person: got %v", err)
	}
	s.intent.Template = "other"
	if _, err = s.render(); fault.CodeOf(err) != NoTemplate {
		t.Errorf("no template: got %v", err)
	}
}

func TestObjectionToProfilingLeavesTheName(t *testing.T) {
	t.Parallel()
	f := welcome(`<p>Hi {{ person.first_name | default: "there" }}, still in {{ person.city | default: "town" }}?</p>`)
	out, err := setup(t, f, one{"email": ada, "first_name": "Ada", "city": "Leafton"}, news).render()
	if err != nil || !strings.HasPrefix(string(out.Text), "Hi Ada, still in town?") {
		t.Errorf("%v %s", err, out.Text)
	}
}

func TestServiceMailHasNoUnsubscribeHeader(t *testing.T) {
	t.Parallel()
	f := files{sheet: "subject: Your receipt\npurpose: service\n", "body.html": "<p>Thanks for {{ trigger.order_id | default: \"your order\" }}</p>"}
	s := setup(t, f, one{"email": ada}, purpose.Service)
	s.intent.Class, s.intent.Data, s.intent.To = message.Transactional, []byte(`{"order_id":"A-7"}`), "other@mail.example"
	out, err := s.render()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range out.Headers {
		if strings.HasPrefix(h[0], "List-") {
			t.Errorf("a receipt offers %s", h[0])
		}
	}
	s.intent.Purpose = news
	s.allow.allow = append(s.allow.allow, news)
	if _, err := s.render(); fault.CodeOf(err) != WrongPurpose {
		t.Errorf("a receipt without a way to leave was sent as marketing: %v", err)
	}
	if out.To.Email != "other@mail.example" || string(out.Text) != "Thanks for A-7\n" {
		t.Errorf("to %v: %s", out.To, out.Text)
	}
}

func TestBlocksFallBackAlone(t *testing.T) {
	t.Parallel()
	f := welcome(`<p>Hello</p>{{ blocks.picks }}`)
	f[sheet] += "blocks:\n  picks: {html: blocks/picks.html, fallback: blocks/none.html}\n"
	f["blocks/picks.html"] = `{% for p in trigger.products %}<p>{{ p.name }} for {{ p.price }}</p>{% endfor %}`
	f["blocks/none.html"] = `<p>Our classics</p>`
	tests := []struct{ name, data, want string }{
		{"whole", `{"products":[{"name":"Walnut","price":3}]}`, "Hello\n\nWalnut for 3\n"},
		{"a value is missing", `{"products":[{"name":"Walnut"},{"name":"Oak","price":2}]}`, "Hello\n\nOur classics\n"},
		{"over budget", `{"products":[` + strings.Repeat(`{"name":"`+strings.Repeat("x", 3000)+`","price":1},`, 900) + `{}]}`, "Hello\n\nOur classics\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, f, one{"email": ada}, news)
			s.intent.Data = []byte(tt.data)
			out, err := s.render()
			if err != nil {
				t.Fatal(err)
			}
			if got := string(out.Text); !strings.HasPrefix(got, tt.want) {
				t.Errorf("text %.200q, want %q", got, tt.want)
			}
		})
	}
	must := maps.Clone(f)
	must[sheet] = strings.Replace(f[sheet], "fallback: blocks/none.html", "essential: true", 1)
	s := setup(t, must, one{"email": ada}, news)
	s.intent.Data = []byte(tests[1].data)
	if _, err := s.render(); fault.CodeOf(err) != MissingValue || fault.KindOf(err) != fault.Invalid {
		t.Errorf("an essential block failed, and the mail went out: %v", err)
	}
	if s.r.Failures() != 1 {
		t.Errorf("%d failures counted, want 1", s.r.Failures())
	}
}

// Fault 23: a template that would run for ever fails its own mail only.
func TestRunawayTemplateFails(t *testing.T) {
	t.Parallel()
	s := setup(t, welcome(`{% for i in (1..9000) %}{% for j in (1..9000) %}{{ j }}{% endfor %}{% endfor %}`), one{"email": ada}, news)
	if _, err := s.render(); fault.CodeOf(err) != BadTemplate || fault.Temporary(err) {
		t.Errorf("got %v", err)
	}
}

func TestTimeRunningOutIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := setup(t, welcome(`<p>x</p>`), one{"email": ada}, news)
	s.r.budget = time.Nanosecond
	if _, err := s.render(); fault.CodeOf(err) != TooSlow || !fault.Temporary(err) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := s.r.Render(ctx, s.intent, s.now); err == nil {
		t.Error("a mail was made although its making was called off")
	}
}

func TestPreviewIsTheSameEngine(t *testing.T) {
	t.Parallel()
	person := one{"email": ada, "first_name": "Ada"}
	s := setup(t, welcome(`<p>Hi {{ person.first_name | default: "there" }}</p>`), person, news, purpose.Profiling)
	sent, err := s.render()
	if err != nil {
		t.Fatal(err)
	}
	who, err := person.Open(context.Background(), 1, news)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := s.r.Preview(context.Background(), s.r.set.Load().Templates["welcome"], Sample{Person: who, To: ada}, s.now)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.ReplaceAll(string(seen.HTML), "https://preview.invalid/u", "https://mail.shop.example/u/marketing.newsletter"); got != string(sent.HTML) {
		t.Errorf("preview\n%s\nsent\n%s", got, sent.HTML)
	}
}

func TestCheckNamesEveryMistake(t *testing.T) {
	t.Parallel()
	f := files{
		sheet: `subject: Hi {{ person.first_name }}
preheader: {text: "For {{ person.city }}", fallback: For you}
purpose: marketing.leaflet
class: urgent
from: nobody
colour: red
blocks:
  a: {html: blocks/a.html}
  b: {html: blocks/b.html, fallback: ""}
`,
		"body.html":     "<p>\nHello {{ person.first_name }},\n{{ customer.name }} {{ mail.link }} {{ blocks.c }}\n{% if person.vip %}{{ person.vip }}{% endif %}</p>",
		"blocks/a.html": "x",
	}
	tpl, problems := f.parse(t)
	if tpl != nil {
		t.Error("a template with mistakes was taken")
	}
	check := func(problems []Problem, wants ...string) {
		t.Helper()
		var got []string
		for _, p := range problems {
			got = append(got, fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message))
			if p.Hint == "" && !p.Warning {
				t.Errorf("no hint: %s", p.Message)
			}
		}
		all := "\n" + strings.Join(got, "\n") + "\n"
		for _, w := range wants {
			if !strings.Contains(all, "\n"+w+"\n") {
				t.Errorf("missing: %s", w)
			}
		}
		if t.Failed() {
			t.Log(all)
		}
	}
	check(problems, `template.yaml:3: no purpose "marketing.leaflet" about mail is declared in purposes.yaml`, `template.yaml:4: "urgent" is no class`,
		`template.yaml:5: the sender is no address`, `template.yaml:6: unknown key "colour"`, `template.yaml:8: the block "a" has no fallback`,
		`template.yaml:9: there is no file "blocks/b.html"`)
	f[sheet] = "subject: Hi {{ person.first_name }}\npreheader: {text: \"For {{ person.city }}\", fallback: For you}\npurpose: marketing.newsletter\n"
	_, problems = f.parse(t)
	check(problems, `template.yaml:1: "person.first_name" may be missing and has no default`, `body.html:2: "person.first_name" may be missing and has no default`,
		`body.html:3: there is no "customer.name"`, `body.html:3: there is no "mail.link"`, `body.html:3: there is no block "c"`,
		`body.html:0: a mail for the purpose "marketing.newsletter" must show how to leave`)
	for _, p := range problems {
		if strings.Contains(p.Message, "vip") || strings.Contains(p.Message, "city") {
			t.Errorf("a guarded value is refused: %s", p.Message)
		}
	}
}

func TestTextPartOfItsOwn(t *testing.T) {
	t.Parallel()
	f := welcome("<p>HTML</p>")
	f["body.txt"] = "Hi {{ person.first_name | default: \"there\" }},\r\n\r\n\r\n\r\nbye \x07 \n{{ workspace.name }}  \n"
	out, err := setup(t, f, one{"email": ada, "first_name": "<Ada>\r.\rQUIT"}, news, purpose.Profiling).render()
	if err != nil {
		t.Fatal(err)
	}
	if want := "Hi <Ada>\n.\nQUIT,\n\nbye\nAcorn Books\n"; string(out.Text) != want {
		t.Errorf("text %q, want %q", out.Text, want)
	}
}

func TestSyntaxErrorsAreNamedWhereTheyStand(t *testing.T) {
	t.Parallel()
	f := files{
		sheet:                  "purpose: service\nsubject: 'Hi {{ person.first_name | defualt: \"x\" }}'\npreheader: '{% if %}'\n",
		"body.html":            "<p>\n{% for x in trigger.items %}\n</p>",
		"body.txt":             "{% render 'foot' %}",
		"partials/foot.liquid": "one\n{{ person.city }}\n",
	}
	_, problems := f.parse(t)
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%s:%d", p.File, p.Line))
	}
	for _, want := range []string{"template.yaml:2", "template.yaml:3", "body.html:2"} {
		if !slices.Contains(got, want) {
			t.Errorf("nothing is said of %s: %+v", want, problems)
		}
	}
	f[sheet], f["body.html"] = "purpose: service\nsubject: Hi\n", "<p>x</p>"
	_, problems = f.parse(t)
	if len(problems) != 1 || problems[0].File != "partials/foot.liquid" || problems[0].Line != 2 {
		t.Errorf("a partial that prints what may be missing: %+v", problems)
	}
}

func TestSubjectAndPreheaderFallBack(t *testing.T) {
	t.Parallel()
	f := files{sheet: "purpose: service\nsubject: {text: 'For {{ trigger.name }}', fallback: For you}\npreheader: {text: '{{ trigger.what }}', fallback: News}\n", "body.html": "<p>x</p>"}
	s := setup(t, f, one{"email": ada}, purpose.Service)
	out, err := s.render()
	if err != nil || out.Subject != "For you" || out.Preheader != "News" || out.Fallbacks != 2 {
		t.Errorf("%v: %q, %q, %d fallbacks", err, out.Subject, out.Preheader, out.Fallbacks)
	}
}

func BenchmarkRender(b *testing.B) {
	f := welcome(`<table>{% for p in trigger.products %}<tr><td><img src="{{ p.image_url | default: "https://shop.example/i.png" }}" alt="{{ p.name | default: "A book" }}"></td><td><a href="{{ p.url | default: "https://shop.example/" }}">{{ p.name | default: "A book" }}</a><br>{{ p.price | default: 0 }}</td></tr>{% endfor %}</table>` + strings.Repeat(`<p style="margin:0 0 16px;font-family:Georgia,serif">A paragraph of words as mails have them, with <b>some</b> emphasis.</p>`, 30))
	s := setup(b, f, one{"email": ada, "first_name": "Ada"}, news, purpose.OpenTrack, purpose.ClickTrack)
	s.intent.Data = []byte(`{"products":[{"name":"One","price":3,"url":"https://shop.example/1"},{"name":"Two","price":4,"url":"https://shop.example/2"},{"name":"Three","price":5,"url":"https://shop.example/3"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.r.Render(context.Background(), s.intent, s.now); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNowIsWhatTheClockSays reads now and today, in the person's own zone.
func TestNowIsWhatTheClockSays(t *testing.T) {
	t.Parallel()
	s := setup(t, welcome(`<p>{{ now | date: "%Y-%m-%d %H:%M" }} {{ today }}</p>`), one{"email": ada, "timezone": "Pacific/Auckland"}, news, purpose.Profiling)
	s.now = time.Date(2026, 5, 4, 20, 30, 0, 0, time.UTC)
	out, err := s.render()
	if err != nil {
		t.Fatal(err)
	}
	if want := "<p>2026-05-05 08:30 2026-05-05</p>"; !strings.Contains(string(out.HTML), want) {
		t.Errorf("HTML lacks %s:\n%s", want, out.HTML)
	}
}

// TestDecorationIsNotInTheText keeps what is hidden from screen readers out of
// the text part.
func TestDecorationIsNotInTheText(t *testing.T) {
	t.Parallel()
	s := setup(t, welcome(`<table><tr><td aria-hidden="true">G</td><td aria-hidden="false">Guji</td></tr></table>`), one{"email": ada}, news)
	out, err := s.render()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(out.Text), "Guji\n") || !strings.Contains(string(out.HTML), ">G<") {
		t.Errorf("text:\n%s\nHTML:\n%s", out.Text, out.HTML)
	}
}

func TestClassFollowsPurpose(t *testing.T) {
	t.Parallel()
	const body = `<p>{{ workspace.postal_address }} <a href="{{ mail.unsubscribe_url }}">Unsubscribe</a></p>`
	for _, test := range []struct {
		name, sheet string
		want        message.Class
		refused     string
	}{
		{"consent", "subject: News\npurpose: marketing.newsletter\n", message.Triggered, ""},
		{"consent, said", "class: broadcast\nsubject: News\npurpose: marketing.newsletter\n", message.Broadcast, ""},
		{"consent, never transactional", "class: transactional\nsubject: News\npurpose: marketing.newsletter\n", 0, `a mail for "marketing.newsletter" cannot be transactional`},
		{"what is owed", "subject: Receipt\npurpose: service\n", message.Transactional, ""},
		{"what is owed, said", "subject: Receipt\npurpose: service\nclass: triggered\n", message.Triggered, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, problems := files{sheet: test.sheet, "body.html": body}.parse(t)
			if test.refused != "" {
				if got != nil || !slices.ContainsFunc(problems, func(p Problem) bool { return p.Line == 1 && strings.HasPrefix(p.Message, test.refused) }) {
					t.Errorf("got %v with %v, want %q in line 1", got, problems, test.refused)
				}
				return
			}
			if got == nil || got.Class != test.want {
				t.Errorf("got %+v with %v, want class %v", got, problems, test.want)
			}
		})
	}
}

// TestPlaceIsTheAuthors: what the house puts before a fragment moves no place.
func TestPlaceIsTheAuthors(t *testing.T) {
	t.Parallel()
	tpl, problems := welcome(`<p>{{ person.first_name | default: "you" }}</p>`).parse(t)
	if tpl == nil {
		t.Fatal(problems)
	}
	reads := tpl.html.compiled.Reads()
	if got := tpl.html.place(reads[0].Position).String(); got != "body.html:1:7" {
		t.Errorf("in the body: %s", got)
	}
	for in, want := range map[liquid.Position]string{
		{Template: bodyHTML, Line: 2, Column: 9}:  "body.html:2:9",
		{Template: "offer", Line: 1, Column: 200}: "offer:1:200",
		{Template: bodyHTML, Line: 1, Column: 3}:  "body.html:1:1",
	} {
		if got := tpl.html.place(in).String(); got != want {
			t.Errorf("%v: got %s, want %s", in, got, want)
		}
	}
	if got := (&part{file: sheet, line: 4}).place(liquid.Position{Template: sheet, Line: 1, Column: 3}).String(); got != "template.yaml:4:3" {
		t.Errorf("in the sheet: %s", got)
	}
}
