package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"rapport/internal/audit"
	"rapport/internal/id"
)

// signed is what a house has signed, the same in every process, so that what a
// fuzzer finds in one holds in another.
type signed struct {
	key         string
	verifier    note.Verifier
	trail       *audit.Trail
	rows        []audit.Row
	bundles     [][]byte
	parcels     []audit.Parcel
	receipts    []byte
	record      []byte // that there is a receipt for
	certificate string
	lines       []string // of the certificate
}

// sign makes a trail of seven rows with two checkpoints.
func sign(f *testing.F) *signed {
	f.Helper()
	var seed [32]byte
	copy(seed[:], "a seed that signs nothing but tests")
	chance := mathrand.NewChaCha8(seed)
	secret, public, err := audit.MakeKey(chance, "trail.example")
	must := func(err error) {
		f.Helper()
		if err != nil {
			f.Fatal(err)
		}
	}
	must(err)
	s := &signed{key: public, record: []byte(`{"purpose":"marketing","state":"granted"}`), lines: []string{"erased 1", "of 2"}}
	s.verifier, err = audit.Verifier(public)
	must(err)
	store := &memory{left: map[string]int64{}}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s.trail, err = audit.New(audit.Config{Keeper: store, Key: secret, Now: func() time.Time { return now }, Rand: chance}, public)
	must(err)
	who := id.Hash{9}
	for n := range 7 {
		a := audit.Act{At: now, Actor: "key/k1", What: "person.read", Object: fmt.Sprint("per_", n), Subject: who, Detail: fmt.Appendf(nil, `{"of":%d}`, n)}
		if n == 4 {
			a.Detail = fmt.Appendf(nil, `{"sha256":%q}`, audit.Digest(s.record))
		}
		must(s.trail.Note(store, a))
		if n == 2 || n == 6 {
			now = now.Add(time.Hour)
			must(s.trail.CatchUp(f.Context(), true))
			p, _, err := s.trail.Parcel(f.Context())
			must(err)
			s.parcels = append(s.parcels, *p)
		}
	}
	s.rows = store.rows
	for _, from := range []int64{0, 2, 7} {
		var b bytes.Buffer
		must(s.trail.Export(f.Context(), &b, from, from == 0))
		s.bundles = append(s.bundles, b.Bytes())
	}
	list, err := s.trail.Receipts(f.Context(), "person.read", []id.Hash{who}, [][]byte{s.record})
	must(err)
	s.receipts, err = json.Marshal(list)
	must(err)
	s.certificate, err = s.trail.Certify(s.lines)
	must(err)
	return s
}

// around adds what was signed to the seeds, and the same with one thing changed in
// many a place.
func around(f *testing.F, whole []byte) {
	f.Helper()
	f.Add(whole)
	for i := 0; i < len(whole); i += 1 + len(whole)/64 {
		other := bytes.Clone(whole)
		other[i] ^= 1 << (i % 7)
		f.Add(other)
		f.Add(slices.Delete(bytes.Clone(whole), i, i+1))
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for i := range len(lines) - 1 {
		swapped := slices.Clone(lines)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		f.Add(bytes.Join(swapped, nil))
		f.Add(bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil))
	}
}

// FuzzVerify: whatever the bundle, the check comes to an end; and where it finds
// no problem, what it covers are the very rows that were signed.
func FuzzVerify(f *testing.F) {
	s := sign(f)
	for _, b := range s.bundles {
		r, err := audit.Verify(bytes.NewReader(b), s.key, s.parcels)
		if err != nil || len(r.Problems) > 0 || r.Covered != 7 {
			f.Fatalf("what was signed does not hold: %+v, %v", r, err)
		}
		around(f, b)
	}
	f.Add([]byte(`{"bundle":1,"size":1}` + "\n" + `{"n":0,"leaf":{"v":1}}` + "\n" + `{"checkpoint":"x\n1\nAA==\n\n— x AA==\n"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, older := range [][]audit.Parcel{nil, s.parcels} {
			r, err := audit.Verify(bytes.NewReader(b), s.key, older)
			if err != nil || len(r.Problems) > 0 {
				continue
			}
			if r.Covered > int64(len(s.rows)) || older != nil && r.Covered != int64(len(s.rows)) {
				t.Fatalf("%d rows are vouched for, %d were signed", r.Covered, len(s.rows))
			}
			s.same(t, b, r.Covered)
		}
	})
}

// same holds the rows of a bundle against those that were signed.
func (s *signed) same(t *testing.T, bundle []byte, covered int64) {
	t.Helper()
	n := int64(0)
	for raw := range bytes.Lines(bundle) {
		var l struct {
			Bundle  int
			Hash    string
			N       *int64
			Leaf    json.RawMessage
			Opening []byte
		}
		if err := json.Unmarshal(raw, &l); err != nil {
			t.Fatalf("%q is no line and holds: %v", raw, err)
		}
		if l.Bundle != 0 || l.Hash == "" && l.N == nil {
			continue
		}
		if n < covered {
			want := tlog.RecordHash(s.rows[n].Leaf)
			switch {
			case l.Hash != "" && l.Hash != base64.StdEncoding.EncodeToString(want[:]):
				t.Errorf("another hash of row %d holds: %s", n, l.Hash)
			case l.Hash == "" && !bytes.Equal(l.Leaf, s.rows[n].Leaf):
				t.Errorf("another row %d holds: %s", n, l.Leaf)
			case l.Hash == "" && l.Opening != nil && !bytes.Equal(l.Opening, s.rows[n].Opening):
				t.Errorf("another detail of row %d holds: %q", n, l.Opening)
			}
		}
		n++
	}
	if n < covered {
		t.Errorf("%d rows are vouched for and %d are there", covered, n)
	}
}

// FuzzParcels: of what came another way, only checkpoints that were signed hold.
func FuzzParcels(f *testing.F) {
	s := sign(f)
	var all []byte
	want := map[audit.Tree]bool{}
	for i := range s.parcels {
		raw, err := json.Marshal(s.parcels[i])
		if err != nil {
			f.Fatal(err)
		}
		all = append(append(all, raw...), '\n')
		tree, _, err := audit.OpenCheckpoint(s.parcels[i].Checkpoint, s.verifier)
		if err != nil {
			f.Fatal(err)
		}
		want[tree] = true
		around(f, []byte(s.parcels[i].Checkpoint))
	}
	around(f, all)
	f.Add([]byte(s.certificate))
	f.Fuzz(func(t *testing.T, b []byte) {
		parcels, _ := audit.ReadParcels(b) // What cannot be read holds nothing.
		for _, p := range parcels {
			if tree, _, err := audit.OpenCheckpoint(p.Checkpoint, s.verifier); err == nil && !want[tree] {
				t.Errorf("a checkpoint that was never signed holds: %+v", tree)
			}
		}
	})
}

// FuzzReceipts: a receipt that holds is of the record that it was given for, and
// so are the proof in it and its row.
func FuzzReceipts(f *testing.F) {
	s := sign(f)
	list, err := audit.ReadReceipts(s.receipts)
	if err != nil || len(list.List) != 1 {
		f.Fatal(err, list)
	}
	if _, _, err := list.List[0].Check(s.key); err != nil {
		f.Fatalf("what was signed does not hold: %v", err)
	}
	around(f, s.receipts)
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := audit.ReadReceipts(b)
		if err != nil {
			return
		}
		for _, r := range list.List {
			if r.Proof != nil {
				s.proven(t, r.Proof)
			}
			if _, _, err := r.Check(s.key); err == nil && audit.Digest(r.Record) != audit.Digest(s.record) {
				t.Errorf("a receipt for another record holds: %s", r.Record)
			}
		}
	})
}

// FuzzProof: a proof that holds is of a row that was signed.
func FuzzProof(f *testing.F) {
	s := sign(f)
	for n := range s.rows {
		p, err := s.trail.Prove(f.Context(), int64(n))
		if err != nil {
			f.Fatal(err)
		}
		if _, _, err := p.Check(s.key); err != nil {
			f.Fatalf("what was signed does not hold: %v", err)
		}
		raw, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		around(f, raw)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p audit.Proof
		if json.Unmarshal(b, &p) == nil {
			s.proven(t, &p)
		}
	})
}

func (s *signed) proven(t *testing.T, p *audit.Proof) {
	t.Helper()
	if _, _, err := p.Check(s.key); err == nil && (p.N < 0 || p.N >= int64(len(s.rows)) || !bytes.Equal(p.Leaf, s.rows[p.N].Leaf)) {
		t.Errorf("another row %d is proven: %s", p.N, p.Leaf)
	}
}

// FuzzCertificate: a certificate that holds says what was certified, and a
// checkpoint is none.
func FuzzCertificate(f *testing.F) {
	s := sign(f)
	if _, err := audit.OpenCertificate([]byte(s.certificate), s.key); err != nil {
		f.Fatalf("what was signed does not hold: %v", err)
	}
	around(f, []byte(s.certificate))
	f.Add([]byte(s.parcels[0].Checkpoint))
	f.Fuzz(func(t *testing.T, b []byte) {
		if lines, err := audit.OpenCertificate(b, s.key); err == nil && !slices.Equal(lines, s.lines) {
			t.Errorf("another certificate holds: %q", strings.Join(lines, "\n"))
		}
	})
}
