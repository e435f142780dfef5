package pgstore_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
)

// TestDistribution holds the catalogue of a fresh database to docs/distribution.md:
// each table is named there, every unique index holds the column that spreads its
// table (Citus and every other hash distribution need that), and nothing is used
// that one of the three databases refuses.
func TestDistribution(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "distribution.md"))
	if err != nil {
		t.Fatal(err)
	}
	spread, named := map[string]string{}, []string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (rapport_\w+) \| (\w+) \| ([^|]*) \|`).FindAllStringSubmatch(string(manual), -1) {
		named = append(named, m[1]+"."+m[2])
		spread[m[1]+"."+m[2]] = strings.TrimSpace(m[3])
	}
	address := pgtest.Database(t)
	if _, err := pgstore.Migrate(t.Context(), pgstore.Config{URL: address}); err != nil {
		t.Fatal(err)
	}
	list := func(sql string) []string {
		t.Helper()
		c, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(t.Context()) }()
		rows, err := c.Query(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		out, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const ours = "nspname IN ('rapport_log', 'rapport_state')"
	tables := list("SELECT nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND " + ours + " ORDER BY 1")
	slices.Sort(named)
	if diff := cmp.Diff(tables, named); diff != "" {
		t.Errorf("docs/distribution.md names (-there are +it names):\n%s", diff)
	}
	for _, row := range list(`SELECT nspname || '.' || t.relname || ' ' || string_agg(a.attname, ',') FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid
		JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY(x.indkey)
		WHERE x.indisunique AND ` + ours + ` GROUP BY nspname, t.relname, x.indexrelid`) {
		table, columns, _ := strings.Cut(row, " ")
		if by := spread[table]; !strings.HasPrefix(by, "nothing") && !slices.Contains(strings.Split(columns, ","), by) {
			t.Errorf("%s is spread by %s, which a unique index of (%s) lacks", table, by, columns)
		}
	}
	for what, sql := range map[string]string{
		"a table without a primary key": "SELECT nspname || '.' || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND " + ours +
			" AND NOT EXISTS (SELECT 1 FROM pg_index WHERE indrelid = c.oid AND indisprimary)",
		"an unlogged or temporary table":    "SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relpersistence <> 'p' AND " + ours,
		"a sequence, view or partition":     "SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind NOT IN ('r', 'i', 't') AND " + ours,
		"a trigger":                         "SELECT tgname::text FROM pg_trigger g JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = relnamespace WHERE " + ours,
		"a foreign key, exclusion or check": "SELECT conname::text FROM pg_constraint x JOIN pg_namespace n ON n.oid = connamespace WHERE contype NOT IN ('p', 'u', 'n') AND " + ours,
		"a function":                        "SELECT proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE " + ours,
		"an extension that was not there":   "SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql'",
		"an index that is no B-tree":        "SELECT c.relname::text FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'i' AND amname <> 'btree' AND " + ours,
		"an identity or generated column":   "SELECT attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace WHERE (attidentity <> '' OR attgenerated <> '') AND " + ours,
	} {
		if found := list(sql); len(found) > 0 {
			t.Errorf("there is %s: %v", what, found)
		}
	}
}
