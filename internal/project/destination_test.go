package project

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestDestinationsAreChecked(t *testing.T) {
	t.Parallel()
	const url, rest = "url: https://crm.example/in\n", "kind: webhook\npurpose: service\nsecrets: env:S\nevents: all\n"
	for _, tt := range []struct{ name, file, says string }{
		{"whole", rest + url, ""},
		{"a port and a path", rest + "url: https://crm.example:8443/a/b?c=d\n", ""},
		{"this machine", rest + "url: http://localhost:9/in\nprivate: true\n", ""},
		{"a private network", rest + "url: https://10.1.2.3/in\nprivate: true\n", ""},
		{"two secrets", strings.Replace(rest, "env:S", "[env:S, file:keys/s]", 1) + url, ""},
		{"three secrets", strings.Replace(rest, "env:S", "[env:S, env:T, env:U]", 1) + url, "at most 2 secrets"},
		{"a bare secret", strings.Replace(rest, "env:S", "whsec_AAAA", 1) + url, "must point at a secret"},
		{"no secret", strings.Replace(rest, "secrets: env:S\n", "", 1) + url, `needs the key "secrets"`},
		{"no address", rest, `needs the key "url"`},
		{"no purpose", strings.Replace(rest, "purpose: service\n", "", 1) + url, `needs the key "purpose"`},
		{"an unknown purpose", strings.Replace(rest, "service", "servise", 1) + url, `does not declare "servise"`},
		{"in the clear", rest + "url: http://crm.example/in\n", "unencrypted"},
		{"in the clear in a private network", rest + "url: http://10.1.2.3/in\nprivate: true\n", "unencrypted"},
		{"this machine, not meant", rest + "url: https://127.0.0.1/in\n", "leads to this machine"},
		{"a password in the address", rest + "url: https://a:b@crm.example/in\n", "no user"},
		{"no web address", rest + "url: ftp://crm.example/in\n", "no web address"},
		{"another kind", strings.Replace(rest, "webhook", "carrier-pigeon", 1) + url, `cannot be "carrier-pigeon"`},
		{"an unknown segment", rest + url + "segments: [nobody]\n", `no segment "nobody"`},
		{"an unknown state", rest + url + "messages: [sent]\n", `no mail is ever "sent"`},
		{"consent of an unknown purpose", rest + url + "consent: [ads]\n", `does not declare "ads"`},
		{"where without events", strings.Replace(rest, "events: all\n", "messages: all\n", 1) + url + "where: {a: 1}\n", "chooses among events"},
		{"a bad comparison", rest + url + "where: {a: {gr: 1}}\n", `gr`},
		{"nothing wanted", strings.Replace(rest, "events: all\n", "", 1) + url, "told of erasures only"},
		{"a key too many", rest + url + "retries: 3\n", `no key "retries"`},
		{"too patient", rest + url + "timeout: 1h\n", "must be between"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fsys := minimal()
			fsys["destinations/crm.yaml"] = &fstest.MapFile{Data: []byte(tt.file)}
			c, problems := Load(fsys)
			var says []string
			for _, p := range problems {
				if p.File != "destinations/crm.yaml" || p.Line == 0 {
					t.Errorf("%+v", p)
				}
				if strings.Contains(p.Message+p.Hint, "AAAA") {
					t.Errorf("the secret is repeated: %+v", p)
				}
				says = append(says, p.Message)
			}
			switch {
			case tt.says == "" && (len(says) > 0 || len(c.Destinations) != 1):
				t.Errorf("problems: %q", says)
			case tt.says != "" && !strings.Contains(strings.Join(says, "\n"), tt.says):
				t.Errorf("problems: %q, want %q", says, tt.says)
			}
		})
	}
}

func TestADestinationAsItIsRead(t *testing.T) {
	t.Parallel()
	fsys := minimal()
	fsys["destinations/crm.yaml"] = &fstest.MapFile{Data: []byte("kind: webhook\nurl: https://crm.example/in\npurpose: service\nsecrets: [env:S, file:keys/s]\nevents: [Order Completed, identify]\nmessages: all\nconsent: service\nidentifiers: email\ninclude_existing: true\n")}
	c, problems := Load(fsys)
	if c == nil {
		t.Fatal(problems)
	}
	d := c.Destinations[0]
	if !d.Existing || d.Integration != "crm" || d.Connections != 8 || d.Timeout.Seconds() != 15 || d.Private {
		t.Errorf("%+v", d)
	}
	want := []Wanted{{Names: []string{"Order Completed", "identify"}}, {}, {All: true}, {Names: []string{"service"}}}
	if diff := cmp.Diff(want, []Wanted{d.Events, d.Segments, d.Messages, d.Consent}); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"email"}, d.Identifiers); diff != "" {
		t.Error(diff)
	}
	missing := c.CheckSecrets(Secrets{})
	n := 0
	for _, p := range missing {
		if p.File == "destinations/crm.yaml" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("problems with secrets: %v", missing)
	}
}
