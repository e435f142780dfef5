package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
)

// room is a database whose disk can be full for some of its tables: they lie on
// a small file system of their own. Where the kernel lets this process mount
// none, because it is not root's, triggers refuse every row of these tables with
// PostgreSQL's own error for a full disk.
type room struct {
	t       *testing.T
	address string
	db      *pgx.Conn
	disk    *pgtest.Disk // nil: triggers
	tables  []string
}

// roomMegabytes is the size of the disk: what the tables hold at first fits many times.
const roomMegabytes = 24

func newRoom(t *testing.T) *room {
	t.Helper()
	r := &room{t: t}
	cluster, disk, folder, err := pgtest.StartOn(roomMegabytes)
	if errors.Is(err, pgtest.ErrNoDisk) {
		t.Log("triggers say that the disk is full:", err)
		r.address = ownDatabase(t, pgtest.Server(t))
		r.connect()
		r.exec(`CREATE FUNCTION public.full_disk() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN RAISE EXCEPTION ''could not extend file: No space left on device'' USING ERRCODE = ''53100''; END'`)
		return r
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
		disk.Close()
	})
	r.disk, r.address = disk, ownDatabase(t, cluster.URL("postgres"))
	r.connect()
	r.exec("CREATE TABLESPACE small LOCATION '" + folder + "'")
	return r
}

func (r *room) connect() {
	r.t.Helper()
	var err error
	if r.db, err = pgx.Connect(r.t.Context(), r.address); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = r.db.Close(context.Background()) })
}

func (r *room) exec(sql string) {
	r.t.Helper()
	if _, err := r.db.Exec(r.t.Context(), sql); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
}

// put lets these tables lie on the small disk, with all their indexes.
func (r *room) put(tables ...string) {
	r.t.Helper()
	r.tables = tables
	if r.disk == nil {
		return
	}
	for _, table := range tables {
		r.exec("ALTER TABLE " + table + " SET TABLESPACE small")
		rows, err := r.db.Query(r.t.Context(), "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = $1::regclass", table)
		if err != nil {
			r.t.Fatal(err)
		}
		indexes, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			r.t.Fatal(err)
		}
		for _, index := range indexes {
			r.exec("ALTER INDEX " + index + " SET TABLESPACE small")
		}
	}
}

// fill leaves no room on the disk. PostgreSQL still has some in the pages that
// it had begun; what uses takes that too.
func (r *room) fill(uses ...string) {
	r.t.Helper()
	if r.disk == nil {
		for _, table := range r.tables {
			r.exec("CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON " + table + " EXECUTE FUNCTION public.full_disk()")
		}
		return
	}
	if err := r.disk.Fill(); err != nil {
		r.t.Fatal(err)
	}
	for _, sql := range uses {
		// It fails, and none of its rows is there: their room is not free before a vacuum.
		var said *pgconn.PgError
		if _, err := r.db.Exec(r.t.Context(), sql); !errors.As(err, &said) || said.Code != "53100" {
			r.t.Fatalf("PostgreSQL is to find the disk full: %v", err)
		}
	}
}

// free gives the room back.
func (r *room) free() {
	r.t.Helper()
	if r.disk != nil {
		if err := r.disk.Free(); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	for _, table := range r.tables {
		r.exec("DROP TRIGGER full_disk ON " + table)
	}
}

// house starts a server on the database.
func (r *room) house(smtp string, more ...map[string]string) *faulty {
	r.t.Helper()
	f := newFaulty(r.t, smtp, more...)
	f.database = r.address
	f.start()
	return f
}

// foundFull tells whether the server has heard that the disk is full while it did something.
func (f *faulty) foundFull(doing string) bool {
	for line := range strings.Lines(f.said.String()) {
		if strings.Contains(line, doing) && strings.Contains(line, "53100") {
			return true
		}
	}
	return false
}

func stateTables(names ...string) (out []string) {
	for _, n := range names {
		out = append(out, pgstore.StateSchema+"."+n)
	}
	return out
}

// junk fills the begun pages of a table with rows that will never be there.
func junk(table, columns string) string {
	return fmt.Sprintf("INSERT INTO %s SELECT %s FROM generate_series(1, 10000000) g", table, columns)
}
