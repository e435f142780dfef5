package pgstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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

// kinds are the types that columns have here.
var kinds = map[string]move.Kind{
	"integer": move.Int, "bigint": move.Int, "boolean": move.Int, "text": move.Text, "bytea": move.Blob, "uuid": move.Blob,
}

// snapshot is one transaction that reads.
type snapshot struct{ t *tx }

var _ move.Reader = snapshot{}

// Snapshot implements move.State.
func (s *State) Snapshot(ctx context.Context, fn func(move.Reader, store.Tx) error) error {
	return s.Read(ctx, func(st store.Tx) error {
		t := st.(*tx)
		// Whoever takes what is read may be slower than a transaction may rest.
		if _, err := t.one([]any{new(string)}, "SELECT set_config('idle_in_transaction_session_timeout', '0', true)"); err != nil {
			return err
		}
		return fn(snapshot{t}, t)
	})
}

// Tables implements move.State.
func (s *State) Tables(ctx context.Context) (out []move.Table, err error) {
	err = s.reading(ctx, func(t *tx) error {
		out, err = snapshot{t}.Tables(ctx)
		return err
	})
	return out, err
}

// Rows implements move.State.
func (s *State) Rows(ctx context.Context, t *move.Table, after move.Row) (out []move.Row, err error) {
	err = s.reading(ctx, func(tx *tx) error {
		out, err = snapshot{tx}.Rows(ctx, t, after)
		return err
	})
	return out, err
}

// Tables implements move.Reader: it asks the catalogue which tables there are.
// The owner's row and the schema's number are about this database alone.
func (s snapshot) Tables(context.Context) (out []move.Table, err error) {
	err = s.t.query(func(r pgx.Rows) error {
		var name, column, kind string
		var at int
		if err := r.Scan(&name, &column, &kind, &at); err != nil {
			return fail(err)
		}
		if len(out) == 0 || out[len(out)-1].Name != name {
			out = append(out, move.Table{Name: name})
		}
		m := &out[len(out)-1]
		if kinds[kind] == 0 {
			return fmt.Errorf("column %s of %s is %s", column, name, kind)
		}
		if at > 0 {
			for len(m.Key) < at {
				m.Key = append(m.Key, 0)
			}
			m.Key[at-1] = len(m.Columns)
		}
		m.Columns = append(m.Columns, move.Column{Name: column, Kind: kinds[kind]})
		return nil
	}, `SELECT c.table_name::text, c.column_name::text, c.data_type::text, coalesce((SELECT k.ordinal_position FROM information_schema.key_column_usage k
			JOIN information_schema.table_constraints p USING (constraint_schema, constraint_name)
			WHERE p.constraint_type = 'PRIMARY KEY' AND k.table_schema = c.table_schema AND k.table_name = c.table_name AND k.column_name = c.column_name), 0)::int
		FROM information_schema.columns c WHERE c.table_schema = $1 AND c.table_name NOT IN ('owner', 'schema_version')
		ORDER BY c.table_name COLLATE "C", c.ordinal_position`, StateSchema)
	for i := range out {
		keyed(&out[i])
	}
	return out, err
}

// keyed gives a table the key by which files have it, so that both stores go
// through its rows in one order. PostgreSQL's keys may hold more: what spreads
// the table over machines.
func keyed(t *move.Table) {
	if t.Name == "ledger" {
		t.Key = []int{0}
	}
}

func (s *State) reading(ctx context.Context, fn func(*tx) error) error {
	return s.Read(ctx, func(t store.Tx) error { return fn(t.(*tx)) })
}

// ordered names a column so that it is compared by its bytes.
func ordered(t *move.Table, at int) string {
	name := pgx.Identifier{t.Columns[at].Name}.Sanitize()
	if t.Columns[at].Kind == move.Text {
		name += ` COLLATE "C"`
	}
	return name
}

// order lists the key, each column with something behind it.
func order(t *move.Table, behind string) string {
	out := make([]string, len(t.Key))
	for i, at := range t.Key {
		out[i] = ordered(t, at) + behind
	}
	return strings.Join(out, ", ")
}

// behind is the condition that a row's key is higher than the parameters from $1
// on: written out, so that an index of the first column serves.
func behind(t *move.Table, i int) string {
	c := ordered(t, t.Key[i])
	if i == len(t.Key)-1 {
		return fmt.Sprintf("%s > $%d", c, i+1)
	}
	return fmt.Sprintf("%s >= $%d AND (%s > $%d OR (%s = $%d AND %s))", c, i+1, c, i+1, c, i+1, behind(t, i+1))
}

func columnsOf(t *move.Table, places []int) string {
	out := make([]string, len(places))
	for i, at := range places {
		out[i] = pgx.Identifier{t.Columns[at].Name}.Sanitize()
	}
	return strings.Join(out, ", ")
}

func everyColumn(t *move.Table) []int {
	out := make([]int, len(t.Columns))
	for i := range out {
		out[i] = i
	}
	return out
}

// Rows implements move.Reader.
func (s snapshot) Rows(_ context.Context, t *move.Table, after move.Row) (out []move.Row, err error) {
	sql := "SELECT " + columnsOf(t, everyColumn(t)) + " FROM " + pgx.Identifier{t.Name}.Sanitize()
	if after != nil {
		sql += " WHERE " + behind(t, 0)
	}
	sql += " ORDER BY " + order(t, "") + fmt.Sprintf(" LIMIT %d", moveRows)
	size := 0
	err = s.t.query(func(r pgx.Rows) error {
		if size >= moveBytes {
			return nil // The next call gives it.
		}
		row, err := moved(r)
		for _, v := range row {
			if b, ok := v.([]byte); ok {
				size += len(b)
			}
		}
		out = append(out, row)
		return err
	}, sql, parameters(after)...)
	return out, err
}

// Last implements move.State.
func (s *State) Last(ctx context.Context, t *move.Table) (key move.Row, err error) {
	err = s.reading(ctx, func(tx *tx) error {
		return tx.query(func(r pgx.Rows) (err error) {
			key, err = moved(r)
			return err
		}, "SELECT "+columnsOf(t, t.Key)+" FROM "+pgx.Identifier{t.Name}.Sanitize()+" ORDER BY "+order(t, " DESC")+" LIMIT 1")
	})
	return key, err
}

// parameters gives a key as the driver wants it: what has sixteen bytes is a uuid.
func parameters(key move.Row) []any {
	out := make([]any, len(key))
	for i, v := range key {
		out[i] = v
		if b, ok := v.([]byte); ok && len(b) == 16 {
			out[i] = pgtype.UUID{Bytes: [16]byte(b), Valid: true}
		}
	}
	return out
}

// moved reads a row as it is moved.
func moved(r pgx.Rows) (move.Row, error) {
	values, err := r.Values()
	if err != nil {
		return nil, fail(err)
	}
	for i, v := range values {
		switch v := v.(type) {
		case int32:
			values[i] = int64(v)
		case bool:
			values[i] = int64(0)
			if v {
				values[i] = int64(1)
			}
		case [16]byte:
			values[i] = append([]byte(nil), v[:]...)
		}
	}
	return values, nil
}

// Put implements move.State. Each column goes as one array.
func (s *State) Put(ctx context.Context, t *move.Table, rows []move.Row) error {
	if len(rows) == 0 {
		return nil
	}
	defer s.ahead.clear() // What is put in goes past what a transaction gathers.
	return s.Write(ctx, store.WriteOptions{Durable: true}, func(st store.Tx) error {
		tx := st.(*tx)
		types, err := tx.typesOf(t.Name)
		if err != nil {
			return err
		}
		args, casts := make([]any, len(t.Columns)), make([]string, len(t.Columns))
		for i, c := range t.Columns {
			args[i], casts[i] = gathered(rows, i, types[c.Name]), fmt.Sprintf("$%d::%s[]", i+1, through(types[c.Name]))
		}
		sets := make([]string, len(t.Columns))
		picks := make([]string, len(t.Columns))
		for i, c := range t.Columns {
			name := pgx.Identifier{c.Name}.Sanitize()
			sets[i], picks[i] = name+" = excluded."+name, fmt.Sprintf("c%d%s", i, back(types[c.Name]))
		}
		return tx.later("INSERT INTO "+pgx.Identifier{t.Name}.Sanitize()+"("+columnsOf(t, everyColumn(t))+") SELECT "+strings.Join(picks, ", ")+
			" FROM unnest("+strings.Join(casts, ", ")+") u("+places(len(t.Columns))+")"+conflict(t, sets), args...)
	})
}

// conflict lets a row take the place of one that is there, where the move may
// meet one: among the small named values.
func conflict(t *move.Table, sets []string) string {
	if t.Name != "meta" {
		return ""
	}
	return " ON CONFLICT(key) DO UPDATE SET " + strings.Join(sets, ", ")
}

func places(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("c%d", i)
	}
	return strings.Join(out, ", ")
}

// through is the type as which a column's values travel, and back what makes
// them its own again.
func through(kind string) string {
	switch kind {
	case "text", "bytea", "uuid":
		return kind
	}
	return "bigint"
}

func back(kind string) string {
	if kind == "boolean" {
		return " <> 0"
	}
	return ""
}

// gathered gives one column of rows, of a type of the database.
func gathered(rows []move.Row, i int, kind string) any {
	switch kind {
	case "uuid":
		out := make([]pgtype.UUID, len(rows))
		for n, r := range rows {
			if v, ok := r[i].([]byte); ok && len(v) == 16 {
				out[n] = uuid([16]byte(v))
			}
		}
		return out
	case "integer", "bigint", "boolean":
		out := make([]pgtype.Int8, len(rows))
		for n, r := range rows {
			if v, ok := r[i].(int64); ok {
				out[n] = pgtype.Int8{Int64: v, Valid: true}
			}
		}
		return out
	case "text":
		out := make([]pgtype.Text, len(rows))
		for n, r := range rows {
			if v, ok := r[i].(string); ok {
				out[n] = pgtype.Text{String: v, Valid: true}
			}
		}
		return out
	}
	out := make([][]byte, len(rows))
	for n, r := range rows {
		if v, ok := r[i].([]byte); ok {
			out[n] = v
			if v == nil {
				out[n] = []byte{}
			}
		}
	}
	return out
}

// typesOf gives the types of a table's columns.
func (t *tx) typesOf(table string) (map[string]string, error) {
	out := map[string]string{}
	err := t.query(func(r pgx.Rows) error {
		var name, kind string
		err := r.Scan(&name, &kind)
		out[name] = kind
		return fail(err)
	}, "SELECT column_name::text, data_type::text FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2", StateSchema, table)
	return out, err
}

// Adopt implements move.Log.
func (l *Log) Adopt(ctx context.Context, id string) error {
	tag, err := l.pool.Exec(ctx, "UPDATE rapport_log.meta SET value = $1 WHERE key = 'id' AND NOT EXISTS (SELECT 1 FROM rapport_log.frame)", id)
	if err == nil && tag.RowsAffected() == 0 {
		return fault.New(fault.Conflict, "log_in_use", "the database's log holds events and keeps its name")
	}
	if err == nil {
		l.id = id
	}
	return l.fail(err)
}
