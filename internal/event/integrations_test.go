package event

import (
	"encoding/json"
	"testing"

	"rapport/internal/scan"
)

func TestAllows(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		integrations, destination string
		want                      bool
		options                   string
	}{
		"nothing said":                {``, "CRM", true, ""},
		"an empty object":             {`{}`, "CRM", true, ""},
		"named no":                    {`{"CRM":false}`, "CRM", false, ""},
		"named yes":                   {`{"CRM":true}`, "CRM", true, ""},
		"another named no":            {`{"Ads":false}`, "CRM", true, ""},
		"all no":                      {`{"All":false}`, "CRM", false, ""},
		"all yes":                     {`{"All":true}`, "CRM", true, ""},
		"all no, named yes":           {`{"All":false,"CRM":true}`, "CRM", true, ""},
		"named yes, then all no":      {`{"CRM":true,"All":false}`, "CRM", true, ""},
		"all no, another named yes":   {`{"All":false,"CRM":true}`, "Ads", false, ""},
		"all yes, named no":           {`{"All":true,"CRM":false}`, "CRM", false, ""},
		"options":                     {`{"All":false,"CRM":{"list":[1,"}"]}}`, "CRM", true, `{"list":[1,"}"]}`},
		"empty options":               {`{"All":false,"CRM":{}}`, "CRM", true, `{}`},
		"options of another":          {`{"Ads":{"a":1}}`, "CRM", true, ""},
		"names are case-sensitive":    {`{"crm":false}`, "CRM", true, ""},
		"all is case-sensitive":       {`{"all":false}`, "CRM", true, ""},
		"a null is not there":         {`{"CRM":null,"All":false}`, "CRM", false, ""},
		"an all of null":              {`{"All":null}`, "CRM", true, ""},
		"a text is a yes":             {`{"All":false,"CRM":"eu"}`, "CRM", true, ""},
		"a number is a yes":           {`{"All":false,"CRM":0}`, "CRM", true, ""},
		"an all that is no truth":     {`{"All":"false"}`, "CRM", true, ""},
		"an escaped name":             {`{"\u0043RM":false}`, "CRM", false, ""},
		"a name with a space":         {`{"Google Ads":false}`, "Google Ads", false, ""},
		"a name with dots":            {`{"Segment.io":false}`, "Segment.io", false, ""},
		"opt-in, nothing said":        {``, OptIn, false, ""},
		"opt-in, all yes":             {`{"All":true}`, OptIn, false, ""},
		"opt-in, named yes":           {`{"Salesforce":true}`, OptIn, true, ""},
		"opt-in, options":             {`{"All":false,"Salesforce":{"object":"Lead"}}`, OptIn, true, `{"object":"Lead"}`},
		"white space":                 {" { \"CRM\" : false } ", "CRM", false, ""},
		"all is no destination":       {`{"All":{"a":1}}`, "All", true, ""},
		"a key within options is not": {`{"Ads":{"CRM":false,"All":false}}`, "CRM", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok, options := Integrations(tt.integrations).Allows(tt.destination)
			if ok != tt.want || string(options) != tt.options {
				t.Errorf("Allows(%q) = %v, %q; want %v, %q", tt.destination, ok, options, tt.want, tt.options)
			}
		})
	}
}

// FuzzAllows holds Allows against the rule as a JSON library reads it.
func FuzzAllows(f *testing.F) {
	for _, s := range []string{`{}`, `{"All":false,"CRM":true}`, `{"CRM":{"a":[{}]},"All":false}`, `{"CRM":null}`, `{"Salesforce":"x"}`, `{`, `[]`, `7`} {
		f.Add([]byte(s), "CRM")
		f.Add([]byte(s), OptIn)
	}
	f.Fuzz(func(t *testing.T, raw []byte, destination string) {
		ok, options := Integrations(raw).Allows(destination)
		var said map[string]json.RawMessage
		if json.Unmarshal(raw, &said) != nil || repeats(raw, len(said)) || destination == everywhere {
			return // Only sound objects come this far: of others it must not panic.
		}
		want := destination != OptIn && string(said[everywhere]) != "false"
		var with string
		if own := said[destination]; len(own) > 0 && string(own) != "null" {
			if want = string(own) != "false"; own[0] == '{' {
				with = string(own)
			}
		}
		if ok != want || string(options) != with {
			t.Fatalf("%q allows %q: %v, %q; want %v, %q", raw, destination, ok, options, want, with)
		}
	})
}

// repeats tells whether an object has more members than names.
func repeats(raw []byte, names int) bool {
	n := 0
	for m := scan.MembersOf(raw); ; n++ {
		if _, _, ok := m.Next(); !ok {
			return n != names
		}
	}
}
