package event

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func full() Event {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.UTC)
	return Event{
		Type: Track, Flags: FromBrowser | Bulk, MessageID: "m-1", Source: "shop", Name: "Order Completed",
		UserID: "u1", Anonymous: "a1", Previous: "p1", GroupID: "g1", Email: "ada@shop.example", Person: 77,
		External: []ExternalID{{"crm", "9"}, {"shopify", "12"}},
		Time:     at.Add(-time.Hour), Original: at.Add(-2 * time.Hour), Received: at, Due: at.Add(time.Hour),
		Properties: []byte(`{"value":3}`), Traits: []byte(`{"email":"ada@shop.example"}`), Context: []byte(`{}`),
		Integrations: []byte(`{"All":false,"CRM":true}`),
	}
}

func TestCodecKeepsEverything(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, want := range map[string]Event{
		"full":   full(),
		"least":  {Type: Page, Time: at, Received: at},
		"before": {Type: Track, Time: time.Unix(-5, 0).UTC(), Received: at},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got Event
			if err := got.Decode(want.Append(nil)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("decoded event differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDecodeReadsWhatWasWrittenBefore holds that an event stays readable that was
// written when events bore no integrations yet.
func TestDecodeReadsWhatWasWrittenBefore(t *testing.T) {
	t.Parallel()
	raw, err := hex.DecodeString("010105ffff018aa8a894956780bab703036d2d310473686f700f4f7264657220436f6d706c657465640275310261310270310267311061646140" +
		"73686f702e6578616d706c65020363726d01390773686f706966790231329a018ab4b98d95678ae2df9795670b7b2276616c7565223a337d1c7b22656d61696c223a22616461" +
		"4073686f702e6578616d706c65227d027b7d")
	if err != nil {
		t.Fatal(err)
	}
	want := full()
	want.Integrations = nil
	var got Event
	if err := got.Decode(raw); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decoded event differs (-want +got):\n%s", diff)
	}
	if again := got.Append(nil); !bytes.Equal(again, raw) {
		t.Errorf("without integrations the bytes have changed:\n%x", again)
	}
}

func TestDecodeRefusesWhatIsCutShort(t *testing.T) {
	t.Parallel()
	want := full()
	whole := want.Append(nil)
	for n := range whole {
		var e Event
		if err := e.Decode(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were taken for an event", n, len(whole))
		}
	}
	var e Event
	if err := e.Decode(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a byte too many was taken for an event")
	}
}

func FuzzDecode(f *testing.F) {
	e := full()
	f.Add(e.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Event
		if e.Decode(b) != nil {
			return
		}
		var again Event
		if err := again.Decode(e.Append(nil)); err != nil {
			t.Fatalf("what was decoded cannot be written again: %v", err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	e := full()
	raw := e.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}
