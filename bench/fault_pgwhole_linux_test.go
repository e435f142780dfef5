package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rapport/internal/delivery/deliverytest"
	"rapport/internal/store/pgstore/pgtest"
)

// The disk of a whole PostgreSQL is full, its write-ahead log's too: it panics, and
// may not even come up again. When there is room, and somebody has started it, as
// the system's manager of services does, the server goes on by itself with all
// that it had acknowledged.
func TestTheDiskOfAWholePostgreSQLIsFull(t *testing.T) {
	t.Parallel()
	cluster, disk, err := pgtest.StartWithin(160)
	if errors.Is(err, pgtest.ErrNoDisk) {
		t.Skip("skipped: ", err, "; TestTheDatabaseCrashesUnderLoad shows the crash that it is")
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
	sink := scripted(t, func(string, int) deliverytest.Fault { return deliverytest.Fault{} })
	f := newFaulty(t, sink.Addr())
	f.database = ownDatabase(t, cluster.URL("postgres"))
	f.start("--listen", freeAddress(t)) // It keeps its address when it opens the house anew.
	r := rand.New(rand.NewPCG(4, 4))
	acked := map[string]bool{}
	n := 0
	post := func() bool {
		n++
		ref := fmt.Sprintf("p%d", n)
		status, _, _, err := f.tryAsk("POST", "/v1/track", fmt.Sprintf(
			`{"messageId":%q,"userId":"u-%s","event":"Trigger","context":{"traits":{"email":"%s@full.example"}},"properties":{"ref":%q,"filler":%q}}`, ref, ref, ref, ref, filler(r, 20_000)))
		if err == nil && status == http.StatusOK {
			acked[ref] = true
		}
		return acked[ref]
	}
	for range 20 {
		if !post() {
			t.Fatal("refused before anything was full")
		}
	}
	if err := disk.Fill(); err != nil {
		t.Fatal(err)
	}
	panicked(t, cluster.URL("postgres"))
	until(t, "the disk is full", time.Minute, func() bool { return !post() })
	for range 5 {
		post()
	}
	if err := disk.Free(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, "events are taken again", time.Minute, post)
	f.quiet(time.Minute)
	for ref := range acked {
		var page struct{ Events []json.RawMessage }
		status, _, answer := f.ask("GET", "/v1/people/user_id:u-"+ref+"/events", "")
		if err := json.Unmarshal([]byte(answer), &page); err != nil || status != http.StatusOK {
			t.Fatalf("event %s was acknowledged: %d %s", ref, status, answer)
		}
		mails, came := f.mailsOf(ref), sink.To(ref+"@full.example")
		switch {
		case len(mails) != 1 || came > 1:
			t.Errorf("event %s has %d mails, and %d came", ref, len(mails), came)
		case mails[0].State == "accepted" && came != 1, mails[0].State != "accepted" && mails[0].State != "unknown" && mails[0].State != "resolved":
			t.Errorf("the mail of event %s came %d times: %+v", ref, came, mails[0])
		}
	}
	t.Logf("%d of %d events were acknowledged", len(acked), n)
}

// panicked writes into PostgreSQL's write-ahead log until it has no room there.
func panicked(t *testing.T, address string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.Background()) }() // It is gone.
	for range 1000 {
		if _, err := db.Exec(t.Context(), "SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))"); err != nil {
			var said *pgconn.PgError
			if errors.As(err, &said) && said.Severity != "PANIC" {
				t.Fatalf("PostgreSQL was to panic: %v", err)
			}
			return
		}
	}
	t.Fatal("the write-ahead log always has room")
}
