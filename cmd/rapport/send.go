package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func sendCommand(c *console) *cobra.Command {
	var template, to, purpose, provider, values, once string
	var set []string
	cmd := &cobra.Command{
		Use:   "send --template NAME --to PERSON",
		Short: "Send one mail to one person",
		Long: `Send asks the server for one mail. It is owed as soon as this returns, and it
passes the same gates as every mail: permission, suppression, quiet hours and
caps for marketing. --values and --set are what the template sees as trigger.
The same --idempotency-key never sends twice; without one, a new one is made.`,
		Example: `  rapport send --template receipt --to user_id:42 --set order_id=A-17 --set total=39.5
  rapport send --template receipt --to email:ann@shop.example --values @order.json --idempotency-key order-A-17`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if template == "" || to == "" {
				return usagef("say which mail to whom: --template NAME --to PERSON")
			}
			fields, err := sendData(values, set)
			if err != nil {
				return err
			}
			if once == "" {
				once = randomKey()
			}
			body := map[string]any{"template": template, "person": personRef(to)}
			for k, v := range map[string]string{"purpose": purpose, "provider": provider} {
				if v != "" {
					body[k] = v
				}
			}
			if len(fields) > 0 {
				body["data"] = fields
			}
			return post(cmd.Context(), c, "/v1/send", map[string]string{"Idempotency-Key": once}, body, func(a sendAnswer) {
				if a.New != nil && !*a.New {
					c.printf("%s was owed already under this key (%s)\n", c.bold(a.ID), a.State)
					return
				}
				c.printf("%s is owed (%s)\nWhat becomes of it: rapport message show %s\n", c.bold(a.ID), a.State, a.ID)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&template, "template", "", "the template's name")
	f.StringVar(&to, "to", "", "the person")
	f.StringVar(&purpose, "purpose", "", "the purpose, where the template serves several")
	f.StringVar(&provider, "provider", "", "the provider, if not the default")
	f.StringVar(&values, "values", "", "a JSON object for the template, or @FILE")
	f.StringArrayVar(&set, "set", nil, "one value for the template, `name=value`; numbers, true and false are taken as such")
	f.StringVar(&once, "idempotency-key", "", "sends at most once under this key")
	return cmd
}

// sendData joins --values and --set.
func sendData(values string, set []string) (map[string]any, error) {
	out := map[string]any{}
	if name, ok := strings.CutPrefix(values, "@"); ok {
		b, err := os.ReadFile(name) //nolint:gosec // The user names the file.
		if err != nil {
			return nil, fmt.Errorf("read --values: %w", err)
		}
		values = string(b)
	}
	if values != "" {
		if err := json.Unmarshal([]byte(values), &out); err != nil {
			return nil, usagef("--values must be a JSON object: %w", err)
		}
	}
	for _, s := range set {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, usagef("--set takes name=value, not %q", s)
		}
		var v any
		if json.Unmarshal([]byte(value), &v) != nil {
			v = value
		}
		out[name] = v
	}
	return out, nil
}

func randomKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails; see crypto/rand.
	return "cli-" + hex.EncodeToString(b[:])
}
