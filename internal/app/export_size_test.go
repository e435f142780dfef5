package app_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"rapport/internal/app"
	"rapport/internal/store/pgstore/pgtest"
)

// TestACopyOfAnySizeTakesNoMoreMemory: what an export holds in memory while it is
// written does not grow with what there is to write. It runs alone, since what others
// hold would be counted.
func TestACopyOfAnySizeTakesNoMoreMemory(t *testing.T) { //nolint:paralleltest // It measures the heap.
	if testing.Short() {
		t.Skip("200,000 events take a while")
	}
	for _, store := range []string{"files", "postgres"} {
		t.Run(store, func(t *testing.T) {
			database := ""
			if store == "postgres" {
				database = pgtest.Database(t)
			}
			sink := taking(t, func(string) bool { return false })
			l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: handClock()}, small(t, sink.Addr(), nil))
			server := httptest.NewServer(l.house.Handler())
			defer server.Close()
			const few, many = 20_000, 200_000
			l.views("ann", 0, few)
			for _, accept := range []string{"application/json", "text/html"} {
				l.heldWhile(server.URL, accept) // Buffers and caches that stay are there from now on.
			}
			held := map[string]int64{}
			for _, accept := range []string{"application/json", "text/html"} {
				var size int64
				held[accept], size = l.heldWhile(server.URL, accept)
				t.Logf("%s of %d events, %d MiB: %d KiB more are held", accept, few, size>>20, held[accept]>>10)
			}
			l.views("ann", few, many)
			for _, accept := range []string{"application/json", "text/html"} {
				more, size := l.heldWhile(server.URL, accept)
				t.Logf("%s of %d events, %d MiB: %d KiB more are held", accept, many, size>>20, more>>10)
				// Ten times as much is written; whatever kept it would hold more than a quarter of it.
				if more > held[accept]+size/4 {
					t.Errorf("%s of %d bytes: %d bytes are held, of a tenth of it %d", accept, size, more, held[accept])
				}
			}
		})
	}
}

// views has somebody look at things, from one number to another.
func (l *lived) views(who string, from, to int) {
	l.t.Helper()
	const atOnce = 2000
	for i := from; i < to; i += atOnce {
		var b strings.Builder
		for j := i; j < min(i+atOnce, to); j++ {
			if j > i {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"type":"track","messageId":"v%d","event":"Product Viewed","userId":%q,"properties":{"i":%d,"title":"A thing among things"}}`, j, who, j)
		}
		if w := l.ask(http.MethodPost, "/v1/batch", `{"batch":[`+b.String()+`]}`); w.Code != http.StatusOK {
			l.t.Fatal(w.Code, w.Body)
		}
	}
	l.settle()
}

// heldWhile reads somebody's copy over HTTP, and gives how many bytes more than before
// were alive at most meanwhile, and how many were read.
func (l *lived) heldWhile(server, accept string) (most, size int64) {
	l.t.Helper()
	r, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, server+"/v1/people/user_id:ann/export", http.NoBody)
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+l.manage)
	r.Header.Set("Accept", accept)
	before := alive()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	for res.StatusCode == http.StatusOK {
		n, err := io.CopyN(io.Discard, res.Body, 2<<20)
		size += n
		most = max(most, alive()-before)
		if errors.Is(err, io.EOF) {
			return most, size
		}
		if err != nil {
			l.t.Fatal(err)
		}
	}
	l.t.Fatal(res.Status)
	return 0, 0
}

// alive gives the bytes that something still points to. What the server makes between a
// collection and the count is counted too; nobody reads meanwhile, so that it soon
// stops, and the least of several counts is without it.
func alive() int64 {
	least := int64(math.MaxInt64)
	for range 4 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		least = min(least, int64(m.HeapAlloc))
	}
	return least
}

// TestACopyHasAllMails: each mail once, also where there are more than are listed at once.
func TestACopyHasAllMails(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		l := live(t, app.Options{Data: t.TempDir(), Database: database, Clock: handClock()}, small(t, sink.Addr(), nil))
		const mails = 1200
		var b strings.Builder
		b.WriteString(`{"type":"identify","messageId":"i","userId":"ann","traits":{"email":"ann@people.example"}}`)
		for i := range mails {
			fmt.Fprintf(&b, `,{"type":"track","messageId":"t%d","event":"Trigger","userId":"ann","properties":{"ref":"r%d"}}`, i, i)
		}
		if w := l.ask(http.MethodPost, "/v1/batch", `{"batch":[`+b.String()+`]}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		l.settle()
		var got struct{ Messages []struct{ ID string } }
		l.get("/v1/people/user_id:ann/export", &got)
		once := map[string]bool{}
		for _, m := range got.Messages {
			once[m.ID] = true
		}
		if len(got.Messages) != mails || len(once) != mails {
			t.Errorf("%d mails, %d of them different, want %d", len(got.Messages), len(once), mails)
		}
	})
}
