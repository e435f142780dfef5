package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"rapport/internal/fault"
	"rapport/internal/store"
	"rapport/internal/store/move"
)

var (
	_ move.State = (*State)(nil)
	_ move.Log   = (*Log)(nil)
)

// moveBytes is about how much Rows gives at once, and moveRows how many.
const (
	moveBytes = 4 << 20
	moveRows  = 2000
)

// snapshot is one connection in one transaction.
type snapshot struct{ c *conn }

var _ move.Reader = snapshot{}

// Snapshot implements move.State.
func (s *State) Snapshot(ctx context.Context, fn func(move.Reader, store.Tx) error) error {
	return s.Read(ctx, func(t store.Tx) error { return fn(snapshot{t.(*tx).c}, t) })
}

// Tables implements move.State.
func (s *State) Tables(ctx context.Context) (out []move.Table, err error) {
	err = s.readers.with(ctx, func(c *conn) error {
		out, err = snapshot{c}.Tables(ctx)
		return err
	})
	return out, err
}

// Rows implements move.State.
func (s *State) Rows(ctx context.Context, t *move.Table, after move.Row) (out []move.Row, err error) {
	err = s.readers.with(ctx, func(c *conn) error {
		out, err = snapshot{c}.Rows(ctx, t, after)
		return err
	})
	return out, err
}

// Tables implements move.Reader: it asks the file which tables it has.
func (s snapshot) Tables(context.Context) (out []move.Table, err error) {
	q := s.c.query("SELECT m.name, c.name, c.type, c.pk FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid")
	for q.step() {
		name := q.colText(0)
		if len(out) == 0 || out[len(out)-1].Name != name {
			out = append(out, move.Table{Name: name})
		}
		t := &out[len(out)-1]
		kind, ok := map[string]move.Kind{"INTEGER": move.Int, "TEXT": move.Text, "BLOB": move.Blob}[q.colText(2)]
		if !ok {
			return nil, errors.Join(fmt.Errorf("column %s of %s is %s", q.colText(1), name, q.colText(2)), q.done())
		}
		if at := int(q.colInt(3)); at > 0 {
			for len(t.Key) < at {
				t.Key = append(t.Key, 0)
			}
			t.Key[at-1] = len(t.Columns)
		}
		t.Columns = append(t.Columns, move.Column{Name: q.colText(1), Kind: kind})
	}
	return out, q.done()
}

// names lists columns, each with something behind it.
func names(t *move.Table, places []int, behind string) string {
	out := make([]string, len(places))
	for i, at := range places {
		out[i] = `"` + t.Columns[at].Name + `"` + behind
	}
	return strings.Join(out, ", ")
}

func all(t *move.Table) []int {
	out := make([]int, len(t.Columns))
	for i := range out {
		out[i] = i
	}
	return out
}

// Rows implements move.Reader.
func (s snapshot) Rows(_ context.Context, t *move.Table, after move.Row) (out []move.Row, err error) {
	sql := "SELECT " + names(t, all(t), "") + ` FROM "` + t.Name + `"`
	if after != nil {
		sql += " WHERE (" + names(t, t.Key, "") + ") > (?" + strings.Repeat(", ?", len(t.Key)-1) + ")"
	}
	sql += " ORDER BY " + names(t, t.Key, "") + fmt.Sprintf(" LIMIT %d", moveRows)
	q := s.c.query(sql)
	for _, v := range after {
		q.value(v)
	}
	for size := 0; size < moveBytes && q.step(); {
		row := make(move.Row, len(t.Columns))
		for i, column := range t.Columns {
			row[i] = q.colValue(i, column.Kind)
			if b, ok := row[i].([]byte); ok {
				size += len(b)
			}
		}
		out = append(out, row)
	}
	return out, q.done()
}

// Last implements move.State.
func (s *State) Last(ctx context.Context, t *move.Table) (key move.Row, err error) {
	err = s.readers.with(ctx, func(c *conn) error {
		q := c.query("SELECT " + names(t, t.Key, "") + ` FROM "` + t.Name + `" ORDER BY ` + names(t, t.Key, " DESC") + " LIMIT 1")
		if q.step() {
			for i, at := range t.Key {
				key = append(key, q.colValue(i, t.Columns[at].Kind))
			}
		}
		return q.done()
	})
	return key, err
}

// Put implements move.State.
func (s *State) Put(ctx context.Context, t *move.Table, rows []move.Row) error {
	sql := `INSERT OR REPLACE INTO "` + t.Name + `"(` + names(t, all(t), "") + ") VALUES(?" + strings.Repeat(", ?", len(t.Columns)-1) + ")"
	return s.Write(ctx, store.WriteOptions{Durable: true}, func(store.Tx) error {
		for _, row := range rows {
			q := s.w.query(sql)
			for _, v := range row {
				q.value(v)
			}
			if err := q.exec(); err != nil {
				return err
			}
		}
		return nil
	})
}

// value binds a value of a moved row.
func (q *query) value(v any) {
	switch v := v.(type) {
	case int64:
		q.int(v)
	case string:
		q.text(v)
	case []byte:
		if v == nil {
			v = []byte{}
		}
		q.blob(v)
	default:
		q.blob(nil)
	}
}

func (q *query) colValue(i int, kind move.Kind) any {
	switch {
	case q.s.ColumnType(i) == sqlite3.NULL:
		return nil
	case kind == move.Int:
		return q.colInt(i)
	case kind == move.Text:
		return q.colText(i)
	}
	return q.colBlob(i)
}

// Adopt implements move.Log.
func (l *Log) Adopt(_ context.Context, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return errClosed("log.db")
	}
	q := l.w.query("UPDATE meta SET value = ?1 WHERE key = 'id' AND NOT EXISTS (SELECT 1 FROM frame)")
	q.text(id)
	changed, err := q.execOne()
	if err == nil && !changed {
		err = fault.New(fault.Conflict, "log_in_use", "log.db holds events and keeps its name")
	}
	if err == nil {
		l.id = id
	}
	return err
}
