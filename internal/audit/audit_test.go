package audit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"rapport/internal/audit"
	"rapport/internal/fault"
	"rapport/internal/id"
)

// memory keeps a trail in memory.
type memory struct {
	rows   []audit.Row
	hashes []tlog.Hash
	hashed int64
	marks  []audit.Checkpoint
	left   map[string]int64
	writes int
}

func (m *memory) Append(r audit.Row) (int64, error) {
	r.N = int64(len(m.rows))
	m.rows = append(m.rows, r)
	return r.N, nil
}

func (m *memory) Rows(from int64, limit int) ([]audit.Row, error) {
	if from >= int64(len(m.rows)) {
		return nil, nil
	}
	return slices.Clone(m.rows[from:min(len(m.rows), int(from)+limit)]), nil
}
func (m *memory) Forget(h id.Hash) error {
	for i := range m.rows {
		if m.rows[i].Subject == h {
			m.rows[i].Opening = nil
		}
	}
	return nil
}
func (m *memory) Size() (int64, error)                    { return int64(len(m.rows)), nil }
func (m *memory) Search(audit.Query) ([]audit.Row, error) { return m.rows, nil }
func (m *memory) Hashed() (int64, error)                  { return m.hashed, nil }
func (m *memory) SaveCheckpoint(c audit.Checkpoint) error { m.marks = append(m.marks, c); return nil }
func (m *memory) Left(place string) (int64, error)        { return m.left[place], nil }
func (m *memory) SetLeft(place string, size int64) error  { m.left[place] = size; return nil }
func (m *memory) AppendHashes(h []tlog.Hash) error {
	m.hashes = append(m.hashes, h...)
	for tlog.StoredHashCount(m.hashed) < int64(len(m.hashes)) {
		m.hashed++
	}
	return nil
}

func (m *memory) Hashes(indexes []int64) (out []tlog.Hash, _ error) {
	for _, i := range indexes {
		out = append(out, m.hashes[i])
	}
	return out, nil
}

func (m *memory) Checkpoints(above int64, limit int) (out []audit.Checkpoint, _ error) {
	for _, c := range m.marks {
		if c.Size > above && len(out) < limit {
			out = append(out, c)
		}
	}
	return out, nil
}

func (m *memory) LastCheckpoint() (c audit.Checkpoint, found bool, _ error) {
	if n := len(m.marks); n > 0 {
		return m.marks[n-1], true, nil
	}
	return c, false, nil
}

func (m *memory) Write(_ context.Context, _ bool, fn func(audit.Store) error) error {
	m.writes++
	return fn(m)
}
func (m *memory) Hurry(ctx context.Context, fn func(audit.Store) error) error {
	return m.Write(ctx, false, fn)
}
func (m *memory) Read(_ context.Context, fn func(audit.Store) error) error { return fn(m) }

// rig is a trail over memory.
type rig struct {
	*testing.T
	*audit.Trail
	store  *memory
	config audit.Config
	now    time.Time
}

func setup(t *testing.T) *rig {
	secret, public, err := audit.MakeKey(rand.Reader, "trail.example")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, store: &memory{left: map[string]int64{}}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	r.config = audit.Config{Keeper: r.store, Key: secret, Now: func() time.Time { return r.now }, Rand: rand.Reader}
	if r.Trail, err = audit.New(r.config, public); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// acts notes some, and signs a checkpoint.
func (r *rig) acts(many int) {
	r.Helper()
	for range many {
		n := len(r.store.rows)
		r.must(r.Note(r.store, audit.Act{
			At: r.now, Actor: "key/k1", What: "person.read", Object: fmt.Sprint("per_", n), Subject: id.Hash{1, byte(n)},
			Detail: fmt.Appendf(nil, `{"of":%d}`, n),
		}))
	}
	r.now = r.now.Add(time.Hour)
	r.must(r.CatchUp(r.Context(), true))
}

func (r *rig) bundle(from int64, details bool) []byte {
	r.Helper()
	var b bytes.Buffer
	r.must(r.Export(r.Context(), &b, from, details))
	return b.Bytes()
}

func (r *rig) verify(b []byte, older ...audit.Parcel) *audit.Report {
	r.Helper()
	report, err := audit.Verify(bytes.NewReader(b), r.Key(), older)
	r.must(err)
	return report
}

func (r *rig) parcel() audit.Parcel {
	r.Helper()
	p, ok, err := r.Parcel(r.Context())
	r.must(err)
	if !ok {
		r.Fatal("there is no checkpoint")
	}
	raw, err := json.Marshal(p)
	r.must(err)
	back, err := audit.ReadParcels(raw)
	r.must(err)
	return back[0]
}

// want fails unless each text stands in one of the problems.
func (r *rig) want(report *audit.Report, problems ...string) {
	r.Helper()
	if len(problems) == 0 && len(report.Problems) > 0 {
		r.Errorf("problems: %q", report.Problems)
	}
	for _, p := range problems {
		if !strings.Contains(strings.Join(report.Problems, "\n"), p) {
			r.Errorf("problems: %q, want %q", report.Problems, p)
		}
	}
}

// TestABundleHolds for any size, whole and from any row on.
func TestABundleHolds(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for n := range 40 {
		r.acts(1 + n%3)
		size := int64(len(r.store.rows))
		for _, from := range []int64{0, size / 2, size} {
			report := r.verify(r.bundle(from, true), r.parcel())
			r.want(report)
			if report.Rows != size || report.Covered != size || report.Older != 1 || report.Details != size-from {
				t.Fatalf("from %d of %d: %+v", from, size, report)
			}
		}
	}
	for n := range int64(len(r.store.rows)) {
		p, err := r.Prove(t.Context(), n)
		r.must(err)
		if tree, _, err := p.Check(r.Key()); err != nil || tree.Size != int64(len(r.store.rows)) {
			t.Fatalf("row %d: %v", n, err)
		}
		p.Leaf = bytes.Replace(p.Leaf, []byte("k1"), []byte("k2"), 1)
		if _, _, err := p.Check(r.Key()); err == nil {
			t.Fatalf("a changed row %d is proven", n)
		}
	}
	if _, err := r.Prove(t.Context(), 999); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a row that is not there: %v", err)
	}
}

// forged is the same trail with other rows: everything is hashed and signed anew,
// with the same key.
func (r *rig) forged(change func(rows []audit.Row) []audit.Row) []byte {
	r.Helper()
	other := &rig{T: r.T, store: &memory{left: map[string]int64{}}, config: r.config, now: r.now}
	other.config.Keeper = other.store
	var err error
	other.Trail, err = audit.New(other.config, r.Key())
	r.must(err)
	for _, row := range change(slices.Clone(r.store.rows)) {
		_, err := other.store.Append(row)
		r.must(err)
	}
	r.must(other.CatchUp(r.Context(), true))
	return other.bundle(0, false)
}

// TestForgeryIsFound by a checkpoint that left before, although everything was
// hashed and signed anew; without one the report says that it cannot see it.
func TestForgeryIsFound(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.acts(30)
	before := r.parcel()
	note := audit.Parcel{Checkpoint: before.Checkpoint}
	r.acts(10)
	altered := r.forged(func(rows []audit.Row) []audit.Row {
		rows[17].Leaf = bytes.Replace(rows[17].Leaf, []byte("per_17"), []byte("per_99"), 1)
		return rows
	})
	r.want(r.verify(altered))
	if see := strings.Join(r.verify(altered).CannotSee, "\n"); !strings.Contains(see, "signed anew by whoever holds the signing key") {
		t.Errorf("it cannot see %q", see)
	}
	r.want(r.verify(altered, before), "row 17 is not what it was", "for 30 rows does not fit")
	r.want(r.verify(altered, note), "among rows 0 to 29 something was changed")
	r.want(r.verify(r.forged(func(rows []audit.Row) []audit.Row { return rows[:25] }), before), "is for 30 rows and the bundle ends with row 24")
	r.want(r.verify(r.forged(func(rows []audit.Row) []audit.Row { return append(rows[:5:5], rows[6:]...) }), before), "row 5 is not what it was")
	behind := r.forged(func(rows []audit.Row) []audit.Row { return rows[:35] })
	r.want(r.verify(behind, before)) // Nothing outside vouches for the last five.
	if see := strings.Join(r.verify(behind, before).CannotSee, "\n"); !strings.Contains(see, "behind the newest checkpoint that left") {
		t.Errorf("it cannot see %q", see)
	}
}

// TestABundleThatWasTouched is found by its own checkpoints.
func TestABundleThatWasTouched(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.acts(5)
	r.acts(5)
	whole := string(r.bundle(0, true))
	lines := strings.SplitAfter(whole, "\n")
	for name, row := range map[string]struct{ bundle, want string }{
		"a row":            {strings.Replace(whole, "per_3", "per_4", 1), "among rows 0 to 4 something was changed"},
		"a row of later":   {strings.Replace(whole, "per_8", "per_9", 1), "among rows 5 to 9 something was changed"},
		"a detail":         {strings.Replace(whole, `"opening":"`, `"opening":"AAAA`, 1), "the detail of row 0"},
		"a row taken out":  {strings.Join(slices.Delete(slices.Clone(lines), 2, 3), ""), "row 2 stands where row 1 belongs"},
		"the end":          {strings.Join(lines[:9], ""), "the bundle says that there are 10 rows"},
		"a signature":      {strings.Replace(whole, "— trail.example ", "— trail.example A", 1), "the signature does not hold"},
		"a size":           {strings.Replace(whole, `trail.example\n5\n`, `trail.example\n6\n`, 1), "the signature does not hold"},
		"another key said": {strings.Replace(whole, `"key":"trail`, `"key":"other`, 1), "another public key"},
	} {
		if report := r.verify([]byte(row.bundle)); row.bundle == whole {
			t.Errorf("%s: nothing was changed", name)
		} else {
			r.want(report, row.want)
		}
	}
	for _, bad := range []string{"{}", "no JSON", whole + "{", `{"bundle":2}`, whole + lines[0]} {
		if _, err := audit.Verify(strings.NewReader(bad), r.Key(), nil); err == nil {
			t.Errorf("%.20q is read as a bundle", bad)
		}
	}
	other := setup(t)
	other.acts(1)
	if _, err := audit.Verify(strings.NewReader(whole), r.Key(), []audit.Parcel{other.parcel()}); err == nil {
		t.Error("a checkpoint of another trail is taken")
	}
}

// place takes checkpoints away, unless it is down.
type place struct {
	down  bool
	asked int
	got   []audit.Parcel
}

func (p *place) Name() string { return "place" }
func (p *place) Leave(_ context.Context, x *audit.Parcel) error {
	p.asked++
	if p.down {
		return fault.New(fault.Unavailable, "down", "it is down")
	}
	p.got = append(p.got, *x)
	return nil
}

// TestCheckpointsLeave in order, all of them, also after the place was down.
func TestCheckpointsLeave(t *testing.T) {
	t.Parallel()
	r := setup(t)
	p := &place{down: true}
	r.Use(time.Minute, audit.Place{To: p})
	_ = r.Note(r.store, audit.Act{At: r.now, What: "a"})
	if err := r.CatchUp(t.Context(), true); err == nil {
		t.Error("a place that is down is not told of")
	}
	p.down = false
	r.acts(3)
	r.acts(2)
	r.must(r.CatchUp(t.Context(), true)) // Nothing new: none is signed.
	from := int64(0)
	for _, x := range p.got {
		if x.From != from {
			t.Errorf("a checkpoint begins at %d, want %d", x.From, from)
		}
		from += int64(len(x.Leaves))
	}
	if len(p.got) != 3 || from != 6 {
		t.Errorf("%d checkpoints for %d rows left", len(p.got), from)
	}
	r.want(r.verify(r.bundle(0, false), p.got...))
}

// TestRowsHoldNoSecret: a leaf is canonical and holds the commitment alone.
func TestRowsHoldNoSecret(t *testing.T) {
	t.Parallel()
	act := audit.Act{At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600)), Actor: "key/k", What: "person.read", Object: "per_1", Subject: id.Hash{0xab}, Detail: []byte(`{"secret":1}`)}
	row, err := audit.NewRow(&act, bytes.Repeat([]byte{7}, audit.SaltBytes))
	const want = `{"v":1,"at":"2026-03-01T11:00:00.000Z","actor":"key/k","act":"person.read","object":"per_1","subject":"ab000000000000000000000000000000","commit":"`
	if err != nil || !strings.HasPrefix(string(row.Leaf), want) || strings.Contains(string(row.Leaf), "secret") {
		t.Errorf("%s, %v", row.Leaf, err)
	}
	if e, err := audit.EntryOf(&row); err != nil || string(e.Detail) != `{"secret":1}` || !e.At.Equal(act.At) {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := audit.NewRow(&act, nil); err == nil {
		t.Error("a detail without a salt is written")
	}
}

// TestNothingIsWrittenWhereNothingHappens: a house that rests does not write to
// its disk for the trail.
func TestNothingIsWrittenWhereNothingHappens(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.must(r.CatchUp(t.Context(), false))
	if r.store.writes != 0 {
		t.Errorf("%d writes for an empty trail", r.store.writes)
	}
	r.acts(3)
	before := r.store.writes
	for range 10 {
		r.now = r.now.Add(time.Hour)
		r.must(r.CatchUp(t.Context(), false))
	}
	if r.store.writes != before || len(r.store.marks) != 1 {
		t.Errorf("%d writes and %d checkpoints while nothing happened", r.store.writes-before, len(r.store.marks))
	}
}
