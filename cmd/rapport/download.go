package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

// download writes an answer into a file, or to standard output for -.
func (c *console) download(ctx context.Context, where string, q url.Values, accept, name string) (err error) {
	cl, err := c.client()
	if err != nil {
		return err
	}
	out := c.out
	if name != "-" {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // The user's own file.
		if err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		defer func() {
			if cerr := f.Close(); err == nil {
				err = cerr
			}
		}()
		out = f
	}
	if len(q) > 0 {
		where += "?" + q.Encode()
	}
	return cl.stream(ctx, where, accept, out)
}

// stream copies an answer as it comes.
func (cl *client) stream(ctx context.Context, path, accept string, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cl.base+path, nil)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+cl.key)
	req.Header.Set("Accept", accept)
	patient := cl.http
	patient.Timeout = 0 // It may be of any size.
	res, err := patient.Do(req)
	if err != nil {
		return cl.unreachable(err)
	}
	defer func() { _ = res.Body.Close() }() // It was read to the end or given up.
	if res.StatusCode < 200 || res.StatusCode > 299 {
		raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("read the answer of %s: %w", cl.base, err)
		}
		return refusal(res.StatusCode, raw)
	}
	if _, err := io.Copy(out, res.Body); err != nil {
		return fmt.Errorf("read the answer of %s: %w", cl.base, err)
	}
	return nil
}
