package consent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/purpose"
)

// ChangedAct is the act in the trail of a row of the ledger; its detail holds the
// record's digest, and so what a receipt proves.
const ChangedAct = "permission.changed"

// RecordSchema names the form of a Record.
const RecordSchema = "iso-iec-ts-27560:2023/rapport-1"

// Record is one statement in the words of ISO/IEC TS 27560:2023, as it is given
// to the person, to operators and to auditors.
type Record struct {
	ID           string            `json:"record_id"`
	Schema       string            `json:"schema_version"`
	Tenant       string            `json:"tenant"`
	Principal    string            `json:"pii_principal_id"` // the keyed hash of the identifier it came with
	Kind         string            `json:"pii_principal_kind"`
	Notice       *NoticeRef        `json:"privacy_notice,omitempty"`
	Purposes     []purpose.Purpose `json:"purposes"`
	Basis        purpose.Basis     `json:"lawful_basis"`
	Data         []string          `json:"pii_information,omitempty"`
	Controllers  []string          `json:"pii_controllers,omitempty"`
	Method       string            `json:"collection_method"`
	Channel      string            `json:"channel"`
	Jurisdiction string            `json:"jurisdiction,omitempty"`
	Recipients   []string          `json:"recipient_third_parties,omitempty"`
	Retention    string            `json:"retention_period,omitempty"`
	Withdrawal   string            `json:"withdrawal_method"`
	Time         time.Time         `json:"event_time"`
	Said         time.Time         `json:"said_time,omitzero"`
	Type         string            `json:"event_type"`  // requested, given, confirmed, refused, withdrawn, objected, gpc
	State        string            `json:"event_state"` // what stood from then on
	ValidFor     int64             `json:"validity_duration_seconds,omitempty"`
	ValidUntil   time.Time         `json:"valid_until,omitzero"`
	Entity       string            `json:"entity_id"` // the source, room or page through which it came
	Sequence     int64             `json:"sequence"`  // its number in the ledger
	Evidence     RecordEvidence    `json:"evidence"`
}

// RecordEvidence is what proves a statement.
type RecordEvidence struct {
	IP           string          `json:"ip,omitempty"` // cut to its network
	Agent        string          `json:"user_agent,omitempty"`
	URL          string          `json:"url,omitempty"`
	Form         string          `json:"form_id,omitempty"`
	Served       string          `json:"served_notice_id,omitempty"`
	Method       string          `json:"method"`
	Confirmation *Confirmation   `json:"doi,omitempty"`
	Further      json.RawMessage `json:"further,omitempty"` // what the sender gave beside
}

// withdrawing is how every permission can be taken back here.
const withdrawing = "by the link in every mail, on the preference page, by GPC where the purpose honours it, or by asking the controller"

// Describe writes a row of the ledger as a record. The same row always gives the
// same record.
func Describe(e *Entry) *Record {
	f := readFacts(e.Facts)
	r := &Record{
		ID: e.Record, Schema: RecordSchema, Tenant: f.Tenant, Principal: e.Subject.String(), Kind: e.Kind, Notice: f.Notice,
		Purposes: []purpose.Purpose{e.Purpose}, Basis: f.Basis, Data: f.Data, Method: e.Method, Channel: f.Channel,
		Jurisdiction: f.Jurisdiction, Recipients: f.Recipients, Retention: f.Retention, Withdrawal: withdrawing,
		Time: arrival(e.At), Said: arrival(e.Said), Type: eventType(e, &f), State: e.State.String(), Entity: e.Source, Sequence: e.Seq,
		Evidence: RecordEvidence{
			IP: f.IP, Agent: f.Agent, URL: f.URL, Form: f.Form, Served: f.Served, Method: f.Choice, Confirmation: f.Confirmation, Further: e.Evidence,
		},
	}
	if e.Said.IsZero() {
		r.Said = time.Time{}
	}
	if f.Controller != "" {
		r.Controllers = []string{f.Controller}
	}
	if e.State == Granted {
		given := Definition{ValidFor: time.Duration(f.ValidFor) * time.Millisecond}
		r.ValidFor, r.ValidUntil = f.ValidFor/1000, until(&given, r.Time, e.Expires)
	}
	return r
}

// eventType names what happened, in the words of the standard's event types.
func eventType(e *Entry, f *Facts) string {
	switch {
	case e.Method == ByGPC && e.State > Granted:
		return "gpc"
	case e.State == Granted && f.Confirmation != nil:
		return "confirmed"
	case e.State == Granted:
		return "given"
	}
	return e.State.String()
}

// JSON gives a record's bytes.
func (r *Record) JSON() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		return nil // Evidence was checked to be JSON when it came; the rest are texts.
	}
	return b
}

// Bytes gives the bytes of records, in their order.
func Bytes(list []*Record) [][]byte {
	out := make([][]byte, len(list))
	for i, r := range list {
		out[i] = r.JSON()
	}
	return out
}

// History is what one or more identifiers of a person have said.
type History struct {
	Records []*Record `json:"records"`
	// Expired are the ends of yeses that nobody took back, in their order. They are no
	// rows of the ledger: they follow from it, and there are no receipts of them.
	Expired []*Record `json:"expired"`
	// Awaited are what an address was asked to confirm and did not, or not yet. They
	// permit nothing.
	Awaited []*Record `json:"awaited"`
}

// Records lists every statement under some identifiers, in order of arrival, and
// what is waited for. Grants that have ended are told as such.
func (a *Authority) Records(ctx context.Context, subjects ...id.Hash) (*History, error) {
	out := &History{Records: []*Record{}, Expired: []*Record{}, Awaited: []*Record{}}
	err := a.keeper.Read(ctx, func(st Store) error {
		out.Records, out.Expired, out.Awaited = out.Records[:0], out.Expired[:0], out.Awaited[:0]
		for _, s := range subjects {
			rows, err := st.Ledger(s)
			if err != nil {
				return err
			}
			for i := range rows {
				out.Records = append(out.Records, Describe(&rows[i]))
			}
			for _, x := range a.Policy().Expiries(rows, a.now()) {
				out.Expired = append(out.Expired, x.describe())
			}
			asked, err := st.OptIns(s)
			if err != nil {
				return err
			}
			for i := range asked {
				if r := asked[i].record(a.Policy(), a.now()); r != nil {
					out.Awaited = append(out.Awaited, r)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the records of permission: %w", err)
	}
	slices.SortStableFunc(out.Records, func(x, y *Record) int { return int(x.Sequence - y.Sequence) })
	slices.SortStableFunc(out.Expired, func(x, y *Record) int { return x.Time.Compare(y.Time) })
	return out, nil
}

// All lists records and ends together, by when they were.
func (h *History) All() []*Record {
	all := append(slices.Clone(h.Records), h.Expired...)
	slices.SortStableFunc(all, func(x, y *Record) int { return x.Time.Compare(y.Time) })
	return all
}

// KeepNotices writes the texts of a configuration down for ever. A text that
// changed under the same version is refused: what people agreed to cannot be
// made to say something else.
func KeepNotices(st Store, list []Notice, now time.Time) error {
	if err := CheckNotices(st, list); err != nil {
		return err
	}
	for _, n := range list {
		n.At = arrival(now)
		if _, err := st.PutNotice(n); err != nil {
			return err
		}
	}
	return nil
}

// CheckNotices holds the texts of a configuration against those of before.
func CheckNotices(st Store, list []Notice) error {
	kept, err := st.Notices()
	if err != nil {
		return err
	}
	for _, n := range list {
		for _, k := range kept {
			if k.Ref().Name() == n.Ref().Name() && k.Digest != n.Digest {
				return fault.New(fault.Conflict, "notice_changed",
					"notices/%s.%s.md is not what it was as version %s, under which people may have agreed: give the new text a new version", n.ID, n.Language, n.Version)
			}
		}
	}
	return nil
}

// AllNotices lists every text that was ever in effect.
func (a *Authority) AllNotices(ctx context.Context) (list []Notice, err error) {
	err = a.keeper.Read(ctx, func(st Store) error { list, err = st.Notices(); return err })
	return list, err
}
