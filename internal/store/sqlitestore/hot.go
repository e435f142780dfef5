package sqlitestore

import (
	"rapport/internal/id"
	"rapport/internal/outbox"
)

// hotMails is how many mails one generation of hot remembers; there are two.
const hotMails = 2048

// hot is what the one writer knows of the mails that it has moved of late, so
// that taking a mail through its states reads nothing again. It holds what the
// tables hold within the transaction under way, and nothing after one that was
// rolled back. Only the writer may use it, from inside a transaction.
type hot struct {
	young, old map[id.Message]*kept
}

// kept is a mail as its rows are.
type kept struct {
	mail  outbox.Mail
	seq   int64 // of its intent
	steps int64 // length of its story
	story int64 // its newest row
}

// find gives a mail that is remembered, or nil. What it points to changes with
// the mail, and is good until the transaction ends.
func (h *hot) find(m id.Message) *kept {
	if k := h.young[m]; k != nil {
		return k
	}
	k := h.old[m]
	if k != nil {
		h.keep(m, k)
	}
	return k
}

func (h *hot) keep(m id.Message, k *kept) {
	if h.young == nil || len(h.young) >= hotMails {
		h.old, h.young = h.young, make(map[id.Message]*kept, hotMails)
	}
	h.young[m] = k
}

func (h *hot) clear() { h.young, h.old = nil, nil }

// move takes over the standing that was written; what the mail is stays.
func (k *kept) move(m *outbox.Mail) {
	k.mail.State, k.mail.Attempts, k.mail.Token = m.State, m.Attempts, m.Token
	k.mail.MessageID, k.mail.Duplicate = m.MessageID, m.Duplicate
	k.mail.NotBefore = dueTime(dueMillis(m.NotBefore))
	k.mail.LeaseEnds = m.LeaseEnds
	if !m.LeaseEnds.IsZero() {
		k.mail.LeaseEnds = dueTime(m.LeaseEnds.UnixMilli())
	}
}
