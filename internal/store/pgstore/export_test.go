package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// MigrateBy brings the state's schema forward by the steps there are and more.
func MigrateBy(ctx context.Context, c Config, more ...string) error {
	p, err := connect(ctx, c, StateSchema, 1)
	if err != nil {
		return err
	}
	defer p.Close()
	return migrate(ctx, p, StateSchema, append(append([]string(nil), stateMigrations...), more...))
}

// Limits gives how long a statement, a wait for a lock, and an idle transaction may
// take in a session of the state.
func Limits(ctx context.Context, c Config) (out string, err error) {
	p, err := connect(ctx, c, StateSchema, 1)
	if err != nil {
		return "", err
	}
	defer p.Close()
	err = p.inTx(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('lock_timeout'),
			current_setting('idle_in_transaction_session_timeout'))`).Scan(&out)
	})
	return out, err
}
