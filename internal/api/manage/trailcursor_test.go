package manage_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"rapport/internal/audit"
	"rapport/internal/store"
)

// A rare act lies further back than one search looks: the pages lead there all the same.
func TestSearchesOfTheTrailLeadBackToItsBeginning(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.must(h.state.Write(t.Context(), store.WriteOptions{}, func(tx store.Tx) error {
		for n := range 2*audit.SearchedRows + 10 {
			act := audit.Act{At: h.clock.Now(), Actor: "house/test", What: "often.done"}
			if n == 3 {
				act.What = "rarely.done"
			}
			row, err := audit.NewRow(&act, nil)
			if err != nil {
				return err
			}
			if _, err := tx.Audit().Append(row); err != nil {
				return err
			}
		}
		return nil
	}))
	cursor, pages, found := "", 0, 0
	for ok := true; ok; ok = cursor != "" {
		w := h.ask(http.MethodGet, "/v1/audit?act=rarely.done&limit=10&cursor="+cursor, "")
		if w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
		var page struct {
			Rows   []audit.Entry `json:"rows"`
			Cursor string        `json:"cursor"`
		}
		h.must(json.Unmarshal(w.Body.Bytes(), &page))
		cursor, pages, found = page.Cursor, pages+1, found+len(page.Rows)
	}
	if found != 1 || pages != 3 {
		t.Errorf("found %d rows on %d pages, want one on three", found, pages)
	}
	w := h.ask(http.MethodGet, fmt.Sprint("/v1/audit?cursor=", 1<<40, "&limit=10"), "")
	if w.Code != http.StatusOK {
		t.Errorf("a cursor beyond all: %d %s", w.Code, w.Body)
	}
}
