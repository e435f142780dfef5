package main

import (
	"slices"
	"time"

	"github.com/spf13/cobra"
)

func keyCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "List, make and revoke keys of the API",
		Long: `Three kinds of key: ingest keys write the events of one source from a server;
browser keys do so from a public place and can do less; management keys may do
everything else. A key is shown once, when it is made; the server keeps its hash.`,
		Example: `  rapport key list
  rapport key create --kind ingest --source server
  rapport key revoke key_06a1…`,
	}
	cmd.AddCommand(keyList(c), keyCreate(c), keyRevoke(c))
	return cmd
}

func keyList(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List keys",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd.Context(), c, "/v1/keys", nil, func(a keysAnswer) {
				var rows [][]string
				for _, k := range a.Keys {
					state := c.green("valid")
					switch {
					case !k.Revoked.IsZero():
						state = c.red("revoked " + c.time(k.Revoked))
					case !k.Expires.IsZero() && k.Expires.Before(c.now()):
						state = c.red("expired " + c.time(k.Expires))
					case !k.Expires.IsZero():
						state = "until " + c.time(k.Expires)
					}
					rows = append(rows, []string{k.ID, k.Kind, k.Source, clean(k.Name), c.time(k.Created), state})
				}
				c.table([]string{"KEY", "KIND", "SOURCE", "NAME", "MADE", "STATE"}, rows)
			})
		},
	}
}

func keyCreate(c *console) *cobra.Command {
	var kind, source, name string
	var expires time.Duration
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a key and print it, once",
		Example: `  rapport key create --kind browser --source website --name "shop front"
  rapport key create --kind manage --name nightly-job --expires 2160h`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"ingest", "browser", "manage"}, kind) {
				return usagef("--kind is ingest, browser or manage, not %q", kind)
			}
			if (kind == "manage") != (source == "") {
				return usagef("ingest and browser keys need --source NAME, management keys have none")
			}
			if expires < 0 {
				return usagef("--expires must not be negative")
			}
			body := map[string]any{"kind": kind, "name": name}
			if source != "" {
				body["source"] = source
			}
			if expires > 0 {
				body["expires"] = c.now().Add(expires).UTC()
			}
			return post(cmd.Context(), c, "/v1/keys", nil, body, func(k keyAnswer) {
				c.printf("%s\n\n%s\n", c.bold(k.Key), c.dim("Keep it now: it is not shown again. To revoke it: rapport key revoke "+k.ID))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", "ingest", "ingest, browser or manage")
	f.StringVar(&source, "source", "", "the source whose events it writes")
	f.StringVar(&name, "name", "", "a name to know it by")
	f.DurationVar(&expires, "expires", 0, "how long it is valid; 0 is for ever")
	return cmd
}

func keyRevoke(c *console) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke KEY",
		Short:   "Make a key worthless, at once",
		Example: "  rapport key revoke key_06a1…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := c.client()
			if err != nil {
				return err
			}
			var before keysAnswer
			if err := cl.get(cmd.Context(), path("keys"), nil, &before); err != nil {
				return err
			}
			already := slices.IndexFunc(before.Keys, func(k keyAnswer) bool { return k.ID == args[0] && !k.Revoked.IsZero() })
			if err := cl.do(cmd.Context(), "DELETE", path("keys", args[0]), nil, nil, nil); err != nil {
				return err
			}
			if c.json {
				return c.printJSON(map[string]any{"id": args[0], "revoked": true, "already": already >= 0})
			}
			if already >= 0 {
				c.printf("%s was revoked already, at %s\n", args[0], c.time(before.Keys[already].Revoked))
				return nil
			}
			c.printf("%s is revoked\n", args[0])
			return nil
		},
	}
}
