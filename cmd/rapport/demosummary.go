package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rapport/internal/demo"
	"rapport/internal/explain"
)

// demoSummary is what --json prints.
type demoSummary struct {
	URL      string                `json:"url"`
	Inbox    string                `json:"inbox"`
	Data     string                `json:"data"`
	Config   string                `json:"config"`
	Seed     uint64                `json:"seed"`
	Days     int                   `json:"days"`
	From     time.Time             `json:"from"`
	To       time.Time             `json:"to"`
	Seconds  float64               `json:"seconds"`
	Tally    demo.Tally            `json:"tally"`
	Walked   int64                 `json:"records_walked"`
	SetAside int64                 `json:"set_aside"`
	Rejected map[string]int64      `json:"rejected"`
	Segments []explain.SegmentSize `json:"segments"`
	Journeys []demoMails           `json:"mails"`
	Notable  demo.Notable          `json:"notable"`
	Message  string                `json:"message"` // a mail whose story is worth reading
}

// demoMails counts the mails of one step of a journey.
type demoMails struct {
	Journey string           `json:"journey"`
	Step    string           `json:"step"`
	Mail    string           `json:"template"`
	States  map[string]int64 `json:"states"`
	Reasons map[string]int64 `json:"reasons,omitempty"` // why some were not sent
}

// summary asks the running server what there is, as anybody may.
func (c *console) summary(ctx context.Context, fl demoFlags, s *stage, t *demo.Tally, n demo.Notable) (*demoSummary, error) {
	out := &demoSummary{
		URL: s.base + "/", Inbox: s.base + "/inbox/", Data: c.data, Config: s.dir + "/config", Seed: fl.seed, Days: fl.days,
		From: s.start, To: s.house.Clock().Now(), Tally: *t, Notable: n,
	}
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	var status struct {
		Walk struct {
			Records  int64 `json:"records"`
			SetAside int64 `json:"set_aside"`
		} `json:"walk"`
		Mails   map[string]int64 `json:"mails"`
		Rejects map[string]int64 `json:"rejects"`
	}
	if err := cl.get(ctx, "/v1/status", nil, &status); err != nil {
		return nil, err
	}
	out.Walked, out.SetAside, out.Rejected = status.Walk.Records, status.Walk.SetAside, status.Rejects
	var segments segmentsAnswer
	if err := cl.get(ctx, "/v1/segments", nil, &segments); err != nil {
		return nil, err
	}
	out.Segments = segments.Segments
	for state := range status.Mails {
		for cursor := ""; ; {
			var page mailsAnswer
			if err := cl.get(ctx, "/v1/messages", map[string]string{"state": state, "limit": "200", "cursor": cursor}, &page); err != nil {
				return nil, err
			}
			for i := range page.Messages {
				out.count(&page.Messages[i])
			}
			if cursor = page.Cursor; cursor == "" {
				break
			}
		}
	}
	slices.SortFunc(out.Journeys, func(a, b demoMails) int { return strings.Compare(a.Journey+a.Step, b.Journey+b.Step) })
	return out, c.pickMessage(ctx, cl, out)
}

// pickMessage chooses a mail whose story is worth reading: a reminder, else any.
func (c *console) pickMessage(ctx context.Context, cl *client, out *demoSummary) error {
	if out.Notable.Reminded == "" {
		return nil
	}
	var page mailsAnswer
	if err := cl.get(ctx, "/v1/messages", map[string]string{"person": personRef(out.Notable.Reminded)}, &page); err != nil {
		return err
	}
	for _, m := range page.Messages {
		if out.Message == "" || m.Template == "basket" {
			out.Message = m.ID
		}
	}
	return nil
}

// count adds one mail.
func (s *demoSummary) count(m *explain.Mail) {
	i := slices.IndexFunc(s.Journeys, func(j demoMails) bool { return j.Journey == m.Journey && j.Step == m.Step })
	if i < 0 {
		i = len(s.Journeys)
		s.Journeys = append(s.Journeys, demoMails{Journey: m.Journey, Step: m.Step, Mail: m.Template, States: map[string]int64{}, Reasons: map[string]int64{}})
	}
	s.Journeys[i].States[m.State]++
	if m.Reason != "" && m.State != "accepted" {
		s.Journeys[i].Reasons[m.Reason]++
	}
}

// tellDemo prints the summary and explains some of it.
func (c *console) tellDemo(ctx context.Context, s *demoSummary) error {
	t := s.Tally
	c.printf("\n%s, %s to %s\n\n", c.bold("What happened"), s.From.Format("2 January"), s.To.Format("2 January 2006"))
	c.printf("  %s sent %s: %s (%d want no marketing), %s, %s left behind.\n", count(int64(t.Visitors), "visitor", "visitors"), count(int64(t.Requests), "event", "events"),
		count(int64(t.Accounts), "account", "accounts"), t.Declined, count(int64(t.Orders), "order", "orders"), count(int64(t.Abandoned), "basket", "baskets"))
	c.printf("  %s arrived: %d opened, %d followed; %d unsubscribed, %d said no in the shop.\n", count(int64(t.Mails), "mail", "mails"),
		t.Opened, t.Clicked, t.Unsubscribed, t.Withdrawn)
	c.printf("  %s %d without permission, %d twice.\n\n", c.good(t.WithoutConsent+t.Duplicates == 0), t.WithoutConsent, t.Duplicates)

	var rows [][]string
	for _, g := range s.Segments {
		rows = append(rows, []string{g.Segment, thousands(g.People), clean(g.Title)})
	}
	c.table([]string{"SEGMENT", ">PEOPLE", "WHO THEY ARE"}, rows)
	c.printf("\n")
	rows = nil
	for _, j := range s.Journeys {
		var why []string
		for reason, n := range j.Reasons {
			why = append(why, fmt.Sprintf("%s %d", reason, n))
		}
		slices.Sort(why)
		rest := int64(0)
		for state, n := range j.States {
			if state != "accepted" {
				rest += n
			}
		}
		rows = append(rows, []string{j.Journey, j.Mail, thousands(j.States["accepted"]), thousands(rest), strings.Join(why, ", ")})
	}
	c.table([]string{"JOURNEY", "MAIL", ">ARRIVED", ">NOT SENT", "WHY NOT"}, rows)
	return c.examples(ctx, s)
}

func (c *console) good(yes bool) string {
	if yes {
		return c.green("✓")
	}
	return c.red("✗")
}

// examples runs commands that anybody may type, and shows them.
func (c *console) examples(ctx context.Context, s *demoSummary) error {
	for _, x := range []struct {
		why  string
		args []string
		who  string
	}{
		{"Ordered once, and not for long. Why in this segment?", []string{"segment", "explain", "lapsed"}, s.Notable.Lapsed},
		{"Left a full basket. Why a mail?", []string{"journey", "explain", "abandoned-cart"}, s.Notable.Reminded},
		{"Left one, too. Why none?", []string{"journey", "explain", "abandoned-cart"}, s.Notable.Silent},
	} {
		if x.who == "" {
			continue
		}
		args := append(x.args, x.who)
		c.printf("\n%s\n%s\n", c.bold(x.why), c.dim("$ rapport "+strings.Join(args, " ")))
		if err := c.command(ctx, args); err != nil {
			return err
		}
	}
	return c.mailStory(ctx, s.Message)
}

// mailStory tells the states of one mail; the mail itself is in the inbox.
func (c *console) mailStory(ctx context.Context, mail string) error {
	if mail == "" {
		return nil
	}
	cl, err := c.client()
	if err != nil {
		return err
	}
	var a explain.MailStory
	if err := cl.get(ctx, path("messages", mail), nil, &a); err != nil {
		return err
	}
	a.Parts = nil
	c.printf("\n%s\n%s\n", c.bold("The whole story of one mail"), c.dim("$ rapport message show "+mail))
	c.story(a)
	return nil
}

// command runs another command of ours against the same server.
func (c *console) command(ctx context.Context, args []string) error {
	again := *c
	root := newRoot(&again)
	root.SetArgs(append([]string{"--url", c.url, "--data", c.data}, args...))
	root.SetOut(c.out)
	root.SetErr(c.err)
	return root.ExecuteContext(ctx)
}
