package pgstore

import "context"

// MigrateBy brings the state's schema forward by the steps there are and more.
func MigrateBy(ctx context.Context, c Config, more ...string) error {
	p, err := connect(ctx, c, StateSchema, 1)
	if err != nil {
		return err
	}
	defer p.Close()
	return migrate(ctx, p, StateSchema, append(append([]string(nil), stateMigrations...), more...))
}
