package sealed

import (
	"context"

	"rapport/internal/consent"
	"rapport/internal/destination"
	"rapport/internal/eventlog"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/outbox"
	"rapport/internal/profile"
	"rapport/internal/seal"
	"rapport/internal/store/move"
	"rapport/internal/store/rows"
)

// Tables reads a state's tables as they are before they are sealed, so that two
// states which hold the same read the same. It is for reading alone.
type Tables struct {
	move.State
	Ring *seal.Ring
}

// Rows implements move.State.
func (s *Tables) Rows(ctx context.Context, t *move.Table, after move.Row) ([]move.Row, error) {
	list, err := s.State.Rows(ctx, t, after)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if err := s.open(t, r); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// column gives the place of a column.
func column(t *move.Table, name string) int {
	for i, c := range t.Columns {
		if c.Name == name {
			return i
		}
	}
	return 0 // A table of ours has it; another is not opened.
}

// open replaces what is sealed in a row by what it holds. Checksums of sealed
// bodies go with them.
func (s *Tables) open(t *move.Table, r move.Row) (err error) {
	x := &tx{ring: s.Ring}
	number := func(name string) int64 { n, _ := r[column(t, name)].(int64); return n }
	bytes := func(name string) []byte { b, _ := r[column(t, name)].([]byte); return b }
	text := func(name string) string { v, _ := r[column(t, name)].(string); return v }
	put := func(name string, sum bool, label []byte) {
		at := column(t, name)
		body, _ := r[at].([]byte)
		if err != nil || !seal.Sealed(body) {
			return
		}
		if sum {
			body = rows.WithoutSum(body)
		}
		body, err = x.openKept(label, body)
		r[at] = body
	}
	switch t.Name {
	case "person":
		put("body", true, personLabel(nil, id.Person(number("id"))))
	case "timeline":
		at := column(t, "body")
		body, _ := r[at].([]byte)
		r[at], err = profile.OpenPack(&history{t: x}, number("id"), rows.WithoutSum(body))
	case "merge":
		m := identity.Merge{Into: id.Person(number("into_person")), From: id.Person(number("from_person")), Cause: text("cause")}
		put("moved", false, mergeLabel(&m))
	case "ledger":
		e := consent.Entry{Record: text("record")}
		copy(e.Subject[:], bytes("subject"))
		put("evidence", false, evidenceLabel(&e))
		put("facts", false, factsLabel(&e))
	case "opt_in":
		var o consent.OptIn
		copy(o.ID[:], bytes("id"))
		put("body", false, optInLabel(&o))
	case "told":
		it := destination.Item{Kind: destination.Kind(number("kind")), Person: id.Person(number("person")), Name: text("name")}
		copy(it.Subject[:], bytes("subject"))
		put("body", true, toldLabel(&it))
	case "group_row":
		var h id.Hash
		copy(h[:], bytes("h"))
		put("body", true, groupLabel(h))
	case "aside":
		put("body", false, asideLabel(eventlog.Lane(number("lane")), number("pos")))
	case "intent":
		at := column(t, "body")
		body, _ := r[at].([]byte)
		r[at], err = s.intent(x, body)
	case "request":
		put("body", false, requestLabel(text("id")))
	case "parts":
		put("body", true, []byte("parts"))
	case "relay":
		put("body", true, relayLabel)
	case "reject":
		put("payload", false, rejectLabel)
	case "trail":
		put("opening", false, trailLabel)
	}
	return err
}

// intent gives the row of a mail with its address and data as they are.
func (s *Tables) intent(x *tx, body []byte) ([]byte, error) {
	in, err := rows.ReadIntent(rows.WithoutSum(body))
	if err != nil {
		return nil, err
	}
	m := mails{t: x}
	mail := outbox.Mail{Intent: in}
	if err := m.open(&mail); err != nil {
		return nil, err
	}
	return rows.AppendIntent(nil, &mail.Intent), nil
}
