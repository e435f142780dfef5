package main

import (
	"github.com/spf13/cobra"
)

func journeyTriggerCommand(c *console) *cobra.Command {
	var values, once string
	var set []string
	cmd := &cobra.Command{
		Use:   "trigger JOURNEY PERSON",
		Short: "Let a journey that says `trigger: {api: true}` begin for a person",
		Long: `Trigger asks for a journey to begin for one person. Whether they enter is decided
as for every trigger: permission, re-entry, exit_when. ` + "`rapport journey explain`" + `
tells what came of it.`,
		Example: "  rapport journey trigger price-drop user_id:42 --property sku=K-7 --property price=9.5",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			fields, err := sendData(values, set)
			if err != nil {
				return err
			}
			if once == "" {
				once = randomKey()
			}
			body := map[string]any{"person": personRef(args[1]), "properties": fields}
			return post(cmd.Context(), c, path("journeys", args[0], "trigger"), map[string]string{"Idempotency-Key": once}, body, func(a struct {
				Request string `json:"request"`
			}) {
				c.printf("%s is asked\nWhat came of it: rapport journey explain %s %s\n", c.bold(a.Request), args[0], args[1])
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&values, "properties", "", "a JSON object of properties, or @FILE")
	f.StringArrayVar(&set, "property", nil, "one property, `name=value`; numbers, true and false are taken as such")
	f.StringVar(&once, "idempotency-key", "", "asks at most once under this key")
	return cmd
}
