package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rapport/internal/fault"
)

// maxAnswer is the most that is read of one answer.
const maxAnswer = 64 << 20

// client talks to the management API of a running server.
type client struct {
	base string
	key  string
	http http.Client
}

// client makes one from the flags and the environment.
func (c *console) client() (*client, error) {
	u, err := url.Parse(c.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usagef("--url must be an http or https address, not %q", c.url)
	}
	key, _ := c.env("RAPPORT_KEY")
	if key == "" {
		file := filepath.Join(c.data, "manage.key")
		b, err := os.ReadFile(file) //nolint:gosec // The path is the user's own choice.
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("no management key: set RAPPORT_KEY, or name the server's data folder with --data (there is no %s)", file)
		case err != nil:
			return nil, fmt.Errorf("read the management key: %w", err)
		}
		key = string(b)
	}
	patience := 2 * time.Minute
	if c.patient {
		patience = 0
	}
	return &client{
		base: strings.TrimRight(c.url, "/"),
		key:  strings.TrimSpace(key),
		http: http.Client{
			Timeout: patience,
			// A redirect would carry the key to somebody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// path joins escaped segments.
func path(segments ...string) string {
	var b strings.Builder
	b.WriteString("/v1")
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	return b.String()
}

// get reads a resource into answer; query parameters that are empty are left out.
func (cl *client) get(ctx context.Context, path string, query map[string]string, answer any) error {
	q := url.Values{}
	for k, v := range query {
		if v != "" {
			q.Set(k, v)
		}
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return cl.do(ctx, http.MethodGet, path, nil, nil, answer)
}

// do sends a request, bytes as they are and anything else as JSON, and reads its
// answer; anything but 2xx is an error with
// what the server said.
func (cl *client) do(ctx context.Context, method, path string, header map[string]string, body, answer any) error {
	var in io.Reader
	if raw, ok := body.([]byte); ok {
		in = bytes.NewReader(raw)
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, cl.base+path, in)
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+cl.key)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := cl.http.Do(req)
	if err != nil {
		return cl.unreachable(err)
	}
	defer func() { _ = res.Body.Close() }() // It was read to the end or given up.
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", cl.base, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return refusal(res.StatusCode, raw)
	}
	if answer == nil || len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, answer); err != nil {
		return fmt.Errorf("understand the answer of %s: %w", cl.base, err)
	}
	return nil
}

// errNoServer says that nobody listens.
var errNoServer = errors.New("no server answers")

// unreachable says what to do when nobody answers.
func (cl *client) unreachable(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return fmt.Errorf("%w at %s; start one with `rapport serve`, or name another with --url", errNoServer, cl.base)
	}
	return fmt.Errorf("ask %s: %w", cl.base, err)
}

// refusal turns a problem+json answer into an error.
func refusal(status int, raw []byte) error {
	var p struct {
		Title  string        `json:"title"`
		Detail string        `json:"detail"`
		Code   string        `json:"code"`
		Errors []fault.Field `json:"errors"`
	}
	if json.Unmarshal(raw, &p) != nil || p.Title == "" && p.Detail == "" {
		p.Detail = fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	kind, code := fault.Internal, exitFailure
	switch status {
	case http.StatusUnauthorized:
		kind = fault.Denied
		p.Detail += "; the key in RAPPORT_KEY or manage.key is not a management key of this server"
	case http.StatusForbidden:
		kind = fault.Denied
	case http.StatusNotFound:
		kind, code = fault.NotFound, exitNotFound
	case http.StatusConflict:
		kind = fault.Conflict
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		kind = fault.Invalid
	case http.StatusTooManyRequests:
		kind = fault.Limited
	case http.StatusServiceUnavailable:
		kind = fault.Unavailable
	}
	return &exitError{code: code, err: &fault.Error{Kind: kind, Code: p.Code, Detail: p.Detail, Fields: p.Errors}}
}

// show fetches a resource and prints it: as it came with --json, else by tell.
func show[T any](ctx context.Context, c *console, path string, query map[string]string, tell func(T)) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := cl.get(ctx, path, query, &raw); err != nil {
		return err
	}
	return present(c, raw, tell)
}

// post asks for something to be done and shows the answer.
func post[T any](ctx context.Context, c *console, path string, header map[string]string, body any, tell func(T)) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := cl.do(ctx, "POST", path, header, body, &raw); err != nil {
		return err
	}
	return present(c, raw, tell)
}

// present prints an answer: as it came with --json, else by tell.
func present[T any](c *console, raw json.RawMessage, tell func(T)) error {
	if c.json {
		return c.printJSON(raw)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("understand the answer of %s: %w", c.url, err)
	}
	tell(v)
	return nil
}

// personRef completes a person as typed with the kind of identifier it is.
func personRef(s string) string {
	kind, _, ok := strings.Cut(s, ":")
	switch {
	case ok && kind != "":
		return s
	case strings.Contains(s, "@"):
		return "email:" + s
	case strings.HasPrefix(s, "per_"):
		return "id:" + s
	}
	return "user_id:" + s
}
