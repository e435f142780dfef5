package audit_test

import (
	"bytes"
	"encoding/base64"
	"mime/quotedprintable"
	"strings"
	"testing"
	"time"

	"rapport/internal/audit"
)

// TestNewestLeavesNowAndThen: a place that wants the newest only is given it once in
// its time, also by a process that was started anew.
func TestNewestLeavesNowAndThen(t *testing.T) {
	t.Parallel()
	r := setup(t)
	p := &place{}
	at := audit.Place{To: p, Every: 2 * time.Hour}
	r.Use(time.Minute, at)
	r.acts(2)
	r.acts(3) // Two checkpoints within the two hours: the first has left.
	if len(p.got) != 1 {
		t.Fatalf("%d checkpoints left at first", len(p.got))
	}
	r.now = r.now.Add(time.Hour)
	again, err := audit.New(r.config, r.Key())
	r.must(err)
	again.Use(time.Minute, at)
	p.down = true
	if err := again.CatchUp(t.Context(), false); err == nil {
		t.Error("a place that is down is not told of")
	}
	p.down = false
	third, err := audit.New(r.config, r.Key())
	r.must(err)
	third.Use(time.Minute, at)
	r.must(third.CatchUp(t.Context(), false))
	r.must(third.CatchUp(t.Context(), true))
	if len(p.got) != 2 || p.got[1].From != 2 || len(p.got[1].Leaves) != 3 {
		t.Fatalf("an hour later %d have left: %+v", len(p.got), p.got)
	}
	r.want(r.verify(r.bundle(0, false), p.got...))
}

// TestAPlaceThatIsDownIsLeftAlone for longer and longer, unless somebody asks, and
// stands as one where something stays until it has left.
func TestAPlaceThatIsDownIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := setup(t)
	p := &place{down: true}
	r.Use(time.Minute, audit.Place{To: p})
	stays := func(tr *audit.Trail) bool {
		t.Helper()
		list, err := tr.Standing(t.Context())
		if err != nil || len(list) != 1 || list[0].Place != "place" {
			t.Fatalf("%+v, %v", list, err)
		}
		return list[0].Stays
	}
	if stays(r.Trail) {
		t.Error("something stays before there is a checkpoint")
	}
	_ = r.Note(r.store, audit.Act{At: r.now, What: "a"})
	_ = r.CatchUp(t.Context(), true)
	for range 100 {
		_ = r.CatchUp(t.Context(), false)
	}
	if p.asked != 6 { // after 0, 1, 3, 7, 15 and 31 rounds in which it was left alone
		t.Errorf("it was tried %d times in 101 rounds", p.asked)
	}
	anew, err := audit.New(r.config, r.Key())
	r.must(err)
	anew.Use(time.Minute, audit.Place{To: p})
	if !stays(r.Trail) || !stays(anew) {
		t.Error("nothing stays at a place that is down, or a new start has forgotten it")
	}
	p.down = false
	r.must(r.CatchUp(t.Context(), true))
	if p.asked != 7 || len(p.got) != 1 || stays(r.Trail) || stays(anew) {
		t.Errorf("after it was asked for, it was tried %d times, %d have left", p.asked, len(p.got))
	}
}

// TestSavedMails: however a mail with a checkpoint was saved, the checkpoint in it is
// found and vouches for what it did; a text without one is refused.
func TestSavedMails(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.acts(3)
	note := r.parcel().Checkpoint
	r.acts(2)
	text := "A signed checkpoint of the trail.\nKeep this mail.\n\n" + note + "\nTo check it: rapport audit verify\n"
	crlf := strings.ReplaceAll(text, "\n", "\r\n")
	var quoted bytes.Buffer
	w := quotedprintable.NewWriter(&quoted)
	_, err := w.Write([]byte(crlf))
	r.must(err)
	r.must(w.Close())
	const head = "From: Shop <shop@shop.example>\r\nSubject: checkpoint\r\nMIME-Version: 1.0\r\n"
	plain := "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + quoted.String()
	packed := "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(crlf)) + "\r\n"
	parts := "Content-Type: multipart/alternative; boundary=b\r\n\r\nnothing\r\n--b\r\n" + plain + "\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--b--\r\n"
	for name, saved := range map[string]string{
		"the note": note, "the text": text, "the text with other line ends": crlf, "a quoted text": "> " + strings.ReplaceAll(text, "\n", "\n> "),
		"a text with a colon first": "Note: below.\n\n" + text, "a mail": head + plain, "a packed mail": head + packed, "alternatives": head + parts,
	} {
		list, err := audit.ReadParcels([]byte(saved))
		if err != nil || len(list) != 1 || list[0].Checkpoint != note {
			t.Errorf("%s: %+v, %v", name, list, err)
			continue
		}
		if report := r.verify(r.bundle(0, false), list...); len(report.Problems) > 0 || report.Older != 1 {
			t.Errorf("%s: %+v", name, report)
		}
	}
	if list, err := audit.ReadParcels([]byte(note + "\nand\n\n" + r.parcel().Checkpoint)); err != nil || len(list) != 2 {
		t.Errorf("of two notes %d are found, %v", len(list), err)
	}
	if list, err := audit.ReadParcels([]byte("no checkpoint\nat all\n")); err == nil {
		t.Errorf("in nothing there is %v", list)
	}
}
