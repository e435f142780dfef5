package pgstore_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"rapport/internal/fault"
	"rapport/internal/store"
	"rapport/internal/store/pgstore"
	"rapport/internal/store/pgstore/pgtest"
	"rapport/internal/store/storetest"
)

// as gives an address under another user.
func as(t *testing.T, address, user string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(user)
	return u.String()
}

func owner(t *testing.T, address, sql string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// server makes a user who may do nothing, and gives its name.
func server(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name := "server_of_" + strings.Trim(u.Path, "/")
	owner(t, address, "CREATE ROLE "+name+" LOGIN")
	return name
}

// TestServingUser passes the whole contract as a user who has the rights that
// the manual names and no other.
func TestServingUser(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.State {
		t.Helper()
		address := pgtest.Database(t)
		role := server(t, address)
		if _, err := pgstore.Migrate(t.Context(), pgstore.Config{URL: address}); err != nil {
			t.Fatal(err)
		}
		owner(t, address, pgstore.Grants(role))
		return open(t, as(t, address, role))
	})
}

func TestServingUserMayNotMore(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	role := server(t, address)
	served := pgstore.Config{URL: as(t, address, role)}
	if _, err := pgstore.OpenState(t.Context(), served); fault.CodeOf(err) != "database_rights" || !strings.Contains(err.Error(), "rapport database migrate") {
		t.Errorf("without the owner's migration it is told %v", err)
	}
	made, err := pgstore.Migrate(t.Context(), pgstore.Config{URL: address})
	if err != nil || len(made) != 2 || made[0].From != 0 || made[0].To == 0 {
		t.Fatalf("made %v, %v", made, err)
	}
	again, err := pgstore.Migrate(t.Context(), pgstore.Config{URL: address})
	if err != nil || again[0].From != made[0].To || again[1].From != made[1].To {
		t.Fatalf("again %v, %v", again, err)
	}
	if _, err := pgstore.OpenLog(t.Context(), served); fault.CodeOf(err) != "database_rights" {
		t.Errorf("without the grants it is told %v", err)
	}
	owner(t, address, pgstore.Grants(role))
	l, err := pgstore.OpenLog(t.Context(), served)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	c, err := pgx.Connect(t.Context(), served.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	for _, sql := range []string{
		"DROP TABLE rapport_state.person", "ALTER TABLE rapport_state.person ADD more int", "TRUNCATE rapport_state.person",
		"CREATE TABLE rapport_state.mine(a int)", "UPDATE rapport_state.schema_version SET n = 0", "CREATE SCHEMA mine",
	} {
		if _, err := c.Exec(t.Context(), sql); err == nil {
			t.Errorf("it may %s", sql)
		}
	}
	// What a later migration of the same owner makes is served as well.
	owner(t, address, "CREATE TABLE rapport_state.later(a int)")
	if _, err := c.Exec(t.Context(), "INSERT INTO rapport_state.later VALUES(1)"); err != nil {
		t.Error(err)
	}
	if _, err := c.Exec(t.Context(), fmt.Sprintf("SELECT 1 FROM %s.frame", pgstore.LogSchema)); err != nil {
		t.Error(err)
	}
}
