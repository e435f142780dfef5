package app_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rapport/internal/app"
)

// TestNotesGoWithThePerson: what was noted of somebody's requests stands nowhere in
// the clear, and is gone when they are erased; that they asked stays.
func TestNotesGoWithThePerson(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, database string) {
		sink := taking(t, func(string) bool { return false })
		data := t.TempDir()
		o := app.Options{Data: data, Database: database, Clock: handClock()}
		l := live(t, o, small(t, sink.Addr(), rightsConfig))
		l.lives(marker)
		for i, c := range [][2]string{
			{"/v1/people/user_id:M/restrict", `{"note":"M rang up"}`}, {"/v1/people/user_id:M/lift", `{"note":"M wrote"}`},
			{"/v1/people/user_id:M/correct", `{"note":"says M","traits":{"name":"M"}}`},
			{"/v1/people/user_id:M/object", `{"note":"says M","purposes":["marketing.newsletter"]}`},
			{"/v1/requests", `{"kind":"erase","person":"user_id:M","note":"M wrote twice"}`},
			{"/v1/requests", `{"kind":"export","person":"user_id:M","note":"by letter of M"}`},
		} {
			w := l.ask("POST", strings.ReplaceAll(c[0], "M", marker), strings.ReplaceAll(c[1], "M", marker), "Idempotency-Key", "r-"+string(rune('a'+i)))
			if w.Code > 299 {
				t.Fatal(c[0], w.Code, w.Body)
			}
		}
		type requests struct {
			Requests []struct {
				ID, Kind, State string
				Result          json.RawMessage
			}
		}
		var before, after requests
		byHand := ""
		l.get("/v1/requests", &before)
		for _, x := range before.Requests {
			if !bytes.Contains(x.Result, []byte(marker)) {
				t.Errorf("%s says %s before they are erased", x.Kind, x.Result)
			}
		}
		files, err := filepath.Glob(filepath.Join(data, "state.db*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			raw, err := os.ReadFile(name)
			if err != nil || bytes.Contains(raw, []byte("rang up")) {
				t.Errorf("%s has a note in the clear %v", filepath.Base(name), err)
			}
		}
		// An erasure that is closed by hand as done keeps no note, neither of before nor its own.
		for _, x := range before.Requests {
			if x.Kind != "erase" {
				continue
			}
			w := l.ask("POST", "/v1/requests/"+x.ID+"/close", `{"outcome":"done","note":"done for `+marker+`"}`)
			if w.Code != http.StatusOK || strings.Contains(w.Body.String(), marker) {
				t.Errorf("closed by hand: %d %s", w.Code, w.Body)
			}
			byHand = x.ID
		}
		l.erase("user_id:" + marker)
		l.get("/v1/requests", &after)
		if len(before.Requests) != 6 || len(after.Requests) != 7 || byHand == "" {
			t.Fatalf("%d requests, then %d", len(before.Requests), len(after.Requests))
		}
		open := ""
		for _, x := range after.Requests {
			if (x.Kind == "erase" && x.ID != byHand) != (len(x.Result) > 0) || bytes.Contains(x.Result, []byte(marker)) {
				t.Errorf("%s says %s of who was erased", x.Kind, x.Result)
			}
			if x.Kind == "export" {
				open = x.ID
			}
		}
		// What was still open has ended with the erasure, and takes no note any more.
		if w := l.ask("POST", "/v1/requests/"+open+"/close", `{"outcome":"refused","note":"`+marker+` is erased"}`); w.Code != http.StatusConflict {
			t.Fatal(w.Code, w.Body)
		}
		l.settle()
		l.end()
		where := data
		if database != "" {
			where = database
		}
		got, err := app.Holds(t.Context(), where, data, marker)
		if err != nil || len(got) > 0 {
			t.Errorf("erased, and still in %v %v", got, err)
		}
	})
}
