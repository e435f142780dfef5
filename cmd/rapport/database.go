package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"rapport/internal/app"
)

func databaseCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "database",
		Short: "Prepare a PostgreSQL database for a server whose user may do little",
		Long: `A server brings its database forward when it starts, if its user owns it. Where
another user owns it, that user runs database migrate before each upgrade, and
once what database grants prints; the server's user then reads and writes rows
and can do nothing else.`,
		Example: `  RAPPORT_DATABASE=postgres://owner@db.example/rapport rapport database migrate
  rapport database grants --role rapport_server | psql -h db.example -U owner rapport`,
	}
	cmd.AddCommand(databaseMigrate(c), databaseGrants(c))
	return cmd
}

func databaseMigrate(c *console) *cobra.Command {
	var database string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Make the schemas, or bring them forward",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if database == "" {
				database, _ = c.env("RAPPORT_DATABASE")
			}
			if database == "" {
				return usagef("database migrate lacks --database URL, or RAPPORT_DATABASE")
			}
			made, err := app.MigrateDatabase(cmd.Context(), database, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(map[string]any{"schemas": made})
			}
			for _, s := range made {
				if s.From == s.To {
					c.printf("%s is at %d already\n", s.Name, s.To)
				} else {
					c.printf("%s was at %d and is at %d\n", s.Name, s.From, s.To)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&database, "database", "", "address of the database, as its owner (postgres://OWNER@HOST/NAME); a password belongs into RAPPORT_DATABASE or PGPASSWORD")
	return cmd
}

func databaseGrants(c *console) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "grants",
		Short: "Print what the owner grants to the server's user",
		RunE: func(*cobra.Command, []string) error {
			if role == "" {
				return usagef("database grants lacks --role NAME, the user with whom the server comes")
			}
			c.printf("%s", app.DatabaseGrants(role))
			return nil
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "the user with whom the server comes")
	return cmd
}
