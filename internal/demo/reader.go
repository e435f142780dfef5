package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/mail"
	"regexp"
	"strings"
	"time"

	"rapport/internal/delivery/devinbox"
)

// mailsAtOnce is the most that one instant brings.
const mailsAtOnce = 1000

// post hands out what has arrived since the last time, oldest first.
func (d *Demo) post() {
	_, all := d.Inbox.List("", 0)
	if all == d.mails {
		return
	}
	list, all := d.Inbox.List("", int(min(all-d.mails, mailsAtOnce)))
	d.mails = all
	for n := len(list) - 1; n >= 0; n-- {
		if v := d.people[list[n].To[0]]; v != nil { // Who looks on has mails of their own.
			d.receive(v, list[n])
		}
	}
}

// receive counts a mail, holds it against what its reader agreed to, and
// decides what they do with it.
func (d *Demo) receive(v *visitor, m *devinbox.Mail) {
	d.tally.Mails++
	template, leave := about(m.Raw)
	why := d.Purposes[template]
	v.got[template]++
	if leave != "" && (!v.marketing || v.left[why]) {
		d.tally.WithoutConsent++
	}
	if v.got[template] > v.reasons(template) {
		d.tally.Duplicates++
	}
	opens, clicks, leaves := 65, 45, 6
	if template == "win-back" {
		leaves = 20
	}
	if !d.dice.percent(opens) {
		return
	}
	id := m.ID
	d.in(d.dice.between(8*time.Minute, 7*time.Hour), func(ctx context.Context) error {
		text, err := d.open(ctx, v, id)
		if err != nil || text == "" {
			return err
		}
		switch {
		case leave != "" && d.dice.percent(leaves):
			return d.leave(ctx, v, why, leave, text)
		case d.dice.percent(clicks):
			d.in(d.dice.between(5*time.Second, time.Minute), func(ctx context.Context) error { return d.click(ctx, v, template, text) })
		}
		return nil
	})
}

// reasons is how often somebody may have got a template's mail by now.
func (v *visitor) reasons(template string) int {
	switch template {
	case "basket":
		return v.checkouts
	case "order-confirmation", "brewing":
		return v.orders
	case "win-back":
		return min(v.orders, 1)
	}
	return 1
}

// about reads which template a mail was made of, and how to leave.
func about(raw []byte) (template, leave string) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return "", ""
	}
	template, _, _ = strings.Cut(m.Header.Get("Feedback-Id"), ":")
	leave = strings.Trim(m.Header.Get("List-Unsubscribe"), " <>")
	if at := strings.Index(leave, ">"); at >= 0 {
		leave = leave[:at]
	}
	return template, leave
}

// pictures and links are what is asked for of a mail.
var (
	pictures = regexp.MustCompile(`<img [^>]*src="([^"]+)"`)
	links    = regexp.MustCompile(`<a [^>]*href="([^"]+)"`)
)

// open shows the mail: its pictures are fetched, the tiny one among them.
func (d *Demo) open(ctx context.Context, v *visitor, id int64) (text string, err error) {
	raw, err := d.site.fetch(ctx, fmt.Sprintf("%s/inbox/m/%d/json", d.Base, id), nil)
	if errors.Is(err, errGone) {
		return "", nil // Whoever looks on has cleared the inbox.
	}
	if err != nil {
		return "", err
	}
	var m struct{ HTML string }
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", fmt.Errorf("read a mail: %w", err)
	}
	d.tally.Opened++
	for _, found := range pictures.FindAllStringSubmatch(m.HTML, -1) {
		if _, err := d.site.fetch(ctx, html.UnescapeString(found[1]), v.header); err != nil {
			return "", err
		}
	}
	return m.HTML, nil
}

// click follows the mail's main link and comes to the shop.
func (d *Demo) click(ctx context.Context, v *visitor, template, text string) error {
	var main string
	for _, found := range links.FindAllStringSubmatch(text, -1) {
		url := html.UnescapeString(found[1])
		if strings.HasPrefix(url, d.Base+"/c/") || strings.HasPrefix(url, d.Base+"/shop") {
			main = url // The last one is the button.
		}
	}
	if main == "" {
		return nil
	}
	d.tally.Clicked++
	if _, err := d.site.fetch(ctx, main, v.header); err != nil {
		return err
	}
	chance := map[string]int{"basket": 65, "win-back": 60, "first-order": 35, "welcome": 15, "brewing": 25}[template]
	switch {
	case !d.dice.percent(chance):
		return d.visit(ctx, v, 1+d.dice.below(3), nil)
	case len(v.basket) > 0:
		return d.visit(ctx, v, 0, func(ctx context.Context) error { return d.pay(ctx, v) })
	}
	return d.visit(ctx, v, 1, func(ctx context.Context) error { return d.order(ctx, v) })
}

// leave unsubscribes: by the mail program's own button, or by the link at the
// foot and the button behind it.
func (d *Demo) leave(ctx context.Context, v *visitor, why, url, text string) error {
	if d.dice.percent(50) {
		for _, found := range links.FindAllStringSubmatch(text, -1) {
			if foot := html.UnescapeString(found[1]); strings.HasPrefix(foot, d.Base+"/u/") {
				if _, err := d.site.fetch(ctx, foot, v.header); err != nil {
					return err
				}
				url = foot
			}
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("List-Unsubscribe=One-Click"))
	if err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	v.header(req.Header)
	if _, err := d.site.do(req, http.StatusOK); err != nil {
		return err
	}
	d.tally.Unsubscribed++
	v.left[why] = true
	return nil
}
