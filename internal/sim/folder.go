package sim

import (
	"errors"
	"fmt"

	"rapport/internal/project"
)

// folders are the configurations that a simulation moves between: the second
// and third change windows, add segments, take one away, and change a journey.
func folder(version int) map[string]string {
	files := map[string]string{
		"rapport.yaml": `workspace: sim
base_url: http://127.0.0.1:8420
sending:
  from: Shop <hello@shop.example>
  postal_address: 1 Sample Street, Sampletown
  provider: wire
limits: {events_per_second: 1000000, burst: 1000000, manage_per_second: 100000}
`,
		"purposes.yaml": `purposes:
  service: {title: Service, description: What you asked for., basis: contract}
  marketing.newsletter: {title: News, description: News., basis: consent, categories: [marketing], gpc: true}
  profiling: {title: Profile, description: A profile., basis: legitimate_interest, scope: device}
`,
		"sources/shop.yaml":               "kind: server\npurpose: profiling\nbasis: legitimate_interest\n",
		"providers/wire.yaml":             "kind: devinbox\n",
		"templates/cart/template.yaml":    "subject: \"Cart {{ trigger.ref | default: '-' }}\"\npurpose: marketing.newsletter\n",
		"templates/cart/body.html":        page,
		"templates/welcome/template.yaml": "subject: \"Welcome\"\npurpose: marketing.newsletter\n",
		"templates/welcome/body.html":     page,
		"templates/receipt/template.yaml": "subject: \"Receipt {{ trigger.ref | default: '-' }}\"\npurpose: service\nclass: transactional\n",
		"templates/receipt/body.html":     page,
		"segments/cart.yaml":              "rule: {all: [{did: Product Added, within: 24h}, {not: {did: Order Completed, within: 24h}}]}\n",
		"segments/buyers.yaml":            "rule: {did: Order Completed, count: 2, within: 7d}\n",
		"segments/big.yaml":               "rule: {did: Order Completed, where: {value: {gte: 50}}}\n",
		"segments/pro.yaml":               "rule: {trait: plan, is: pro}\n",
		"segments/pro-cart.yaml":          "rule: {all: [{in_segment: pro}, {in_segment: cart}]}\n",
		"segments/lapsed.yaml":            "rule: {all: [{did: Order Completed}, {not: {did: Order Completed, within: 3d}}]}\n",
		"journeys/abandoned.yaml":         "purpose: marketing.newsletter\ntrigger: {event: Product Added}\nreentry: always\nsteps:\n  - wait_for: {event: Order Completed, timeout: 2h, on_timeout: [{send: cart}]}\n",
		"journeys/receipts.yaml":          "purpose: service\nclass: transactional\ntrigger: {event: Order Completed}\nreentry: always\nkey: ref\nsteps:\n  - send: receipt\n",
		"journeys/welcome.yaml":           "purpose: marketing.newsletter\ntrigger: {enters: pro}\nreentry: once\nsteps:\n  - wait: 1h\n  - send: welcome\n  - set: {greeted: true}\n",
		"segments/greeted.yaml":           "rule: {trait: greeted, is: true}\n",
	}
	switch version % 3 {
	case 1:
		files["segments/cart.yaml"] = "rule: {all: [{did: Product Added, within: 12h}, {not: {did: Order Completed, within: 24h}}]}\n"
		files["segments/viewers.yaml"] = "rule: {did: Page Seen, count: 3, within: 2d}\n"
	case 2:
		delete(files, "segments/lapsed.yaml")
		files["segments/dear.yaml"] = "rule: {all: [{did: Product Added, where: {value: {gte: 80}}, within: 5d}, {not: {in_segment: pro}}]}\n"
		files["journeys/abandoned.yaml"] = "purpose: marketing.newsletter\ntrigger: {event: Product Added}\nreentry: always\nsteps:\n  - wait_for: {event: Order Completed, timeout: 3h, on_timeout: [{send: cart}]}\n"
	}
	return files
}

const page = `<!doctype html><html><body><p>Hello</p><p>{{ workspace.postal_address }}</p><p><a href="{{ mail.unsubscribe_url }}">Unsubscribe</a></p></body></html>
`

func load(version int) (*project.Config, error) {
	files := map[string][]byte{}
	for name, text := range folder(version) {
		files[name] = []byte(text)
	}
	c, problems := project.Load(project.Files(files))
	if c == nil {
		var errs []error
		for _, p := range problems {
			errs = append(errs, fmt.Errorf("%s:%d: %s; %s", p.File, p.Line, p.Message, p.Hint))
		}
		return nil, errors.Join(errs...)
	}
	return c, nil
}

// reload compiles a version that was stored.
func reload(v project.Version) (*project.Config, error) {
	c, problems := project.Load(project.Files(v.Files))
	if c == nil {
		return nil, fmt.Errorf("version %d: %v", v.Number, problems)
	}
	return c, nil
}
