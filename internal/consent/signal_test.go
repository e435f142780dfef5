package consent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The strings are examples of the published specifications.
func TestSignals(t *testing.T) {
	t.Parallel()
	const tc = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"
	for _, tt := range []struct {
		name, text string
		gpp, ok    bool
		want       signal
	}{
		{"a TC string without any consent", tc, false, true, signal{tcf: true}},
		{"a TC string with consents and interests", "COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA", false, true, signal{tcf: true, consents: 1<<1 | 1<<9, interests: 1<<1 | 1<<8}},
		{"a TC string of another version", "BOtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA", false, false, signal{}},
		{"a TC string cut off", tc[:20], false, false, signal{}},
		{"no TC string", "what is this?", false, false, signal{}},
		{"GPP with the TCF", "DBABMA~" + tc, true, true, signal{tcf: true}},
		{"GPP with the TCF and US Privacy, opted out", "DBACNYA~" + tc + "~1YYN", true, true, signal{tcf: true, optOut: map[string]bool{"sale": true}}},
		{"GPP with the TCF and US Privacy, not opted out", "DBACNYA~" + tc + "~1YNN", true, true, signal{tcf: true}},
		{"GPP with sections as a range", "DBABjw~" + tc + "~1YNN", true, true, signal{}},
		{"GPP with California, not opted out", "DBABBgA~xlgWEYCZAA", true, true, signal{}},
		{"GPP with Virginia, opted out of targeted advertising", "DBABRgA~bSFgmiU", true, true, signal{optOut: map[string]bool{"targeted_advertising": true}}},
		{"GPP that lists more than it has", "DBACNYA~" + tc, true, false, signal{}},
		{"GPP of another version", "DCABMA~" + tc, true, false, signal{}},
		{"no GPP", "DB", true, false, signal{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s signal
			ok := false
			if tt.gpp {
				ok = s.readGPP(tt.text)
			} else {
				ok = s.readTC(tt.text)
			}
			if ok != tt.ok {
				t.Errorf("read: %v, want %v", ok, tt.ok)
			}
			if diff := cmp.Diff(tt.want, s, cmp.AllowUnexported(signal{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The national section with its part about GPC, by the bits that the
// specification lists: sharing 2 0, opt-outs 1 (sale), 2 (sharing), 1 (targeted).
func TestNationalSection(t *testing.T) {
	t.Parallel()
	var s signal
	// 000001 00 00 00 00 00 00 01 10 01 …, and 01 1 for GPC.
	if !s.readUS("BAAZAAAAAAA.YA", usSections[7]) {
		t.Fatal("it was not read")
	}
	if want := (signal{optOut: map[string]bool{"sale": true, "targeted_advertising": true}, gpc: true}); cmp.Diff(want, s, cmp.AllowUnexported(signal{})) != "" {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

// FuzzSignal: no string, however made, takes the reader down or is read as
// consenting without a section that could say so.
func FuzzSignal(f *testing.F) {
	for _, s := range []string{
		"CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", "DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YYN", "DBABBgA~xlgWEYCZAA", "DBABRgA~bSFgmiU", "DBABjw~a~b", "", "~", "D", "DBAAAA~",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var tc, gpp signal
		if tc.readTC(text); !tc.tcf && (tc.consents != 0 || tc.interests != 0) {
			t.Errorf("%q consents and is no TC string", text)
		}
		if tc.consents>>tcfPurposes != 0 {
			t.Errorf("%q consents to a purpose that there is none of", text)
		}
		gpp.readGPP(text)
		for o := range gpp.optOut {
			if o != optOutSale && o != optOutSharing && o != optOutTargeted {
				t.Errorf("%q opts out of %q", text, o)
			}
		}
	})
}
