package app

import (
	"context"
	"log/slog"

	"rapport/internal/store/pgstore"
)

// MigrateDatabase makes the schemas of a PostgreSQL database or brings them
// forward, as their owner does before a server starts whose user may not.
func MigrateDatabase(ctx context.Context, address string, logger *slog.Logger) ([]pgstore.Schema, error) {
	return pgstore.Migrate(ctx, pgstore.Config{URL: address, Logger: logger})
}

// DatabaseGrants gives the statements that let a user serve a database that
// another owns.
func DatabaseGrants(role string) string { return pgstore.Grants(role) }

// UnsafeSettings names the settings of a database's server that are off and let a
// loss of power take what was acknowledged.
func UnsafeSettings(ctx context.Context, address string) ([]string, error) {
	return pgstore.Unsafe(ctx, pgstore.Config{URL: address})
}
