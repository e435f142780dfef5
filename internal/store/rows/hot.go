package rows

import (
	"rapport/internal/id"
	"rapport/internal/outbox"
)

// hotMails is how many mails one generation of Hot remembers; there are two.
const hotMails = 2048

// Hot is what the one writer knows of the mails that it has moved of late, so
// that taking a mail through its states reads nothing again. It holds what the
// tables hold within the transaction under way, and nothing after one that was
// rolled back. Only the writer may use it, from inside a transaction.
type Hot struct {
	young, old map[id.Message]*Kept
}

// Kept is a mail as its rows are.
type Kept struct {
	Mail  outbox.Mail
	Seq   int64 // of its intent
	Steps int64 // length of its story
	Story int64 // its newest row
}

// Find gives a mail that is remembered, or nil. What it points to changes with
// the mail, and is good until the transaction ends.
func (h *Hot) Find(m id.Message) *Kept {
	if k := h.young[m]; k != nil {
		return k
	}
	k := h.old[m]
	if k != nil {
		h.Keep(m, k)
	}
	return k
}

// Keep remembers a mail as its rows are.
func (h *Hot) Keep(m id.Message, k *Kept) {
	if h.young == nil || len(h.young) >= hotMails {
		h.old, h.young = h.young, make(map[id.Message]*Kept, hotMails)
	}
	h.young[m] = k
}

// Clear forgets everything, as after a rollback.
func (h *Hot) Clear() { h.young, h.old = nil, nil }

// Move takes over the standing that was written; what the mail is stays.
func (k *Kept) Move(m *outbox.Mail) {
	k.Mail.State, k.Mail.Attempts, k.Mail.Token = m.State, m.Attempts, m.Token
	k.Mail.MessageID, k.Mail.Duplicate = m.MessageID, m.Duplicate
	k.Mail.NotBefore = DueTime(DueMillis(m.NotBefore))
	k.Mail.LeaseEnds = m.LeaseEnds
	if !m.LeaseEnds.IsZero() {
		k.Mail.LeaseEnds = DueTime(m.LeaseEnds.UnixMilli())
	}
}
