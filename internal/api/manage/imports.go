package manage

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"rapport/internal/access"
	"rapport/internal/consent"
	"rapport/internal/fault"
	"rapport/internal/ingest"
	"rapport/internal/purpose"
)

// Importer takes a batch of events into the bulk lane.
type Importer func(ctx context.Context, source string, body []byte) (ingest.Receipt, error)

// maxImport bounds the body of one request: ingest's own limit of a batch.
const maxImport = 500 << 10

// postImport takes a batch in Segment's shape for a source of the
// configuration. Its events never delay live ones, and the segment entries they
// cause start no journey that does not include people who are there already.
func (h *Handler) postImport(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if h.Import == nil {
		return fault.New(fault.Unavailable, "no_import", "this server takes no imports")
	}
	name, err := named(r, "source")
	if err != nil {
		return err
	}
	if !h.Sources(name) {
		return fault.New(fault.NotFound, "no_such_source", "the configuration in effect has no source %q", name)
	}
	s := scratches.Get().(*scratch)
	defer s.free()
	if err := s.read(r, maxImport); err != nil {
		return err
	}
	receipt, err := h.Import(r.Context(), name, s.body)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, imported{receipt.Accepted, receipt.Denied, len(receipt.Rejected), receipt.Last, mistakes(receipt.Rejected)})
}

// imported is what became of a batch.
type imported struct {
	Accepted int       `json:"accepted"`
	Denied   int       `json:"denied"`
	Rejected int       `json:"rejected"`
	Position int64     `json:"position"`
	Errors   []mistake `json:"errors,omitempty"`
}

// mistake says what is wrong with one item of a batch, without its values.
type mistake struct {
	Index  int    `json:"index"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func mistakes(rejected []ingest.Rejection) []mistake {
	var out []mistake
	for _, x := range rejected {
		out = append(out, mistake{x.Index, x.Code, x.Detail})
	}
	return out
}

// ConsentImporter writes what people said of permission elsewhere, one record
// each: what narrows holds when it returns, what widens once it is walked. A
// record of the same name again changes nothing.
type ConsentImporter func(ctx context.Context, source string, said []ImportedConsent) (position int64, err error)

// ImportedConsent is one record: a word of one person on one purpose, under
// each of the identifiers that came with it.
type ImportedConsent struct {
	Record  string
	Entries []consent.Entry
}

// maxImportedConsents bounds the records of one request.
const maxImportedConsents = 2500

// importedConsent is a record on the wire.
type importedConsent struct {
	ID       string          `json:"id"`
	Subjects []subjectRef    `json:"subjects"`
	Purpose  purpose.Purpose `json:"purpose"`
	Granted  bool            `json:"granted"`
	Said     time.Time       `json:"said"`
	Evidence jsontext.Value  `json:"evidence"`
}

// postImportConsent takes permission that people gave or withdrew elsewhere. A
// grant needs evidence and the time at which it was said: permission is never
// made up. A record that lacks them is named and stops no other.
func (h *Handler) postImportConsent(w http.ResponseWriter, r *http.Request, _ access.Key) error {
	if h.ImportConsent == nil {
		return fault.New(fault.Unavailable, "no_import", "this server takes no imports")
	}
	name, err := named(r, "source")
	if err != nil {
		return err
	}
	if !h.Sources(name) {
		return fault.New(fault.NotFound, "no_such_source", "the configuration in effect has no source %q", name)
	}
	var in struct {
		Records []importedConsent `json:"records"`
	}
	if err := h.decode(r, maxImport, &in); err != nil {
		return err
	}
	if len(in.Records) > maxImportedConsents {
		return wrong("/records", "too_many_records", "a request has at most %d records", maxImportedConsents)
	}
	var said []ImportedConsent
	var errs []mistake
	for i := range in.Records {
		c, err := h.importedConsent(&in.Records[i])
		if f := (*fault.Error)(nil); errors.As(err, &f) {
			errs = append(errs, mistake{i, f.Code, f.Detail})
			continue
		}
		said = append(said, c)
	}
	position, err := h.ImportConsent(r.Context(), name, said)
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, imported{Accepted: len(said), Rejected: len(errs), Position: position, Errors: errs})
}

// importedConsent checks one record.
func (h *Handler) importedConsent(in *importedConsent) (out ImportedConsent, err error) {
	state := consent.Granted
	def, declared := h.Consent.Policy().Purpose(in.Purpose)
	if !in.Granted {
		if state = consent.Withdrawn; declared {
			state = def.No()
		}
	}
	switch {
	case in.ID == "" || len(in.ID) > maxSendName:
		return out, wrong("/id", "bad_id", "a record needs an id of at most %d bytes", maxSendName)
	case len(in.Subjects) == 0 || len(in.Subjects) > maxSubjects:
		return out, wrong("/subjects", "bad_subject", "a record is about 1 to %d identifiers of one person", maxSubjects)
	case in.Granted && in.Said.IsZero():
		return out, wrong("/said", "no_time", "a grant needs the time at which it was said")
	case in.Granted && len(in.Evidence) <= len("{}"):
		return out, wrong("/evidence", "no_evidence", "a grant needs evidence")
	case in.Said.After(h.Now().Add(time.Minute)):
		return out, wrong("/said", "not_yet_said", "it was said in the future")
	}
	if err := h.mayBeSaid(in.Purpose, state); err != nil {
		return out, err
	}
	if err := evidence(in.Evidence); err != nil {
		return out, err
	}
	out.Record = in.ID
	for _, s := range in.Subjects {
		if s.kind == personsOwn {
			return out, wrong("/subjects", "bad_subject", "an import names people by the identifiers that came with their word")
		}
		refs, err := h.subjects(context.Background(), s) // Only a person's own id is looked up.
		if err != nil {
			return out, err
		}
		e := consent.Entry{
			Subject: h.Hash(refs[0].kind, refs[0].value), Kind: refs[0].kind, Purpose: in.Purpose, State: state,
			Said: in.Said, Method: consent.ByImport, Evidence: in.Evidence,
		}
		if err := h.ofErased(&e); err != nil {
			return out, err
		}
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}

// maxSubjects is how many identifiers one record may be about.
const maxSubjects = 10
