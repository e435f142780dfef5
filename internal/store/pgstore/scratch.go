package pgstore

import (
	"context"
	"net/url"

	"github.com/jackc/pgx/v5"
)

// Scratch makes a new, empty database on the server that a URL names, for
// measurements and drills, and gives its address and what takes it away again.
// The URL's user must be allowed to make databases.
func Scratch(ctx context.Context, server, name string) (address string, drop func() error, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, errAddress()
	}
	if err := admin(ctx, server, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	return u.String(), func() error {
		return admin(context.WithoutCancel(ctx), server, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	}, nil
}

func admin(ctx context.Context, server, statement string) error {
	address, err := safely(server)
	if err != nil {
		return err
	}
	conf, err := pgx.ParseConfig(address)
	if err != nil {
		return errAddress()
	}
	c, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = c.Close(ctx) }() // It has done what it was opened for.
	_, err = c.Exec(ctx, statement)
	return fail(err)
}
