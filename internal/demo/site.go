package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// site speaks to the server as the shop's pages and the shop's own server do.
type site struct {
	base, browser, server string
	client                *http.Client
}

func newSite(base, browser, server string) *site {
	return &site{base: base, browser: browser, server: server, client: &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 8},
		// A reader's browser goes where a link leads; that page is ours already.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (s *site) close() { s.client.CloseIdleConnections() }

// call is one event of the Segment wire.
type call struct {
	Type       string         `json:"type"`
	MessageID  string         `json:"messageId"`
	Anonymous  string         `json:"anonymousId,omitempty"`
	User       string         `json:"userId,omitempty"`
	Event      string         `json:"event,omitempty"`
	Name       string         `json:"name,omitempty"`
	Properties map[string]any `json:"properties,omitempty"`
	Traits     map[string]any `json:"traits,omitempty"`
	Context    map[string]any `json:"context,omitempty"`
}

// choice puts what somebody said about purposes into an event.
func (c *call) choice(said map[string]bool) {
	if len(said) > 0 {
		c.Context = map[string]any{"consent": map[string]any{"categoryPreferences": said}}
	}
}

// say sends one event with a key.
func (s *site) say(ctx context.Context, key string, c call, head func(http.Header)) error {
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode an event: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/v1/"+c.Type, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	req.SetBasicAuth(key, "")
	req.Header.Set("Content-Type", "application/json")
	if head != nil {
		head(req.Header)
	}
	_, err = s.do(req, http.StatusOK)
	return err
}

// do sends a request and wants an answer of one of some kinds.
func (s *site) do(req *http.Request, want ...int) ([]byte, error) {
	res, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // It was read to the end.
	body, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	for _, w := range want {
		if res.StatusCode == w {
			return body, nil
		}
	}
	if res.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%s %s: %w", req.Method, shape(req.URL.Path), errGone)
	}
	return nil, fmt.Errorf("%s %s was answered %d: %s", req.Method, shape(req.URL.Path), res.StatusCode, body[:min(len(body), 300)])
}

// errGone says that there is nothing at an address.
var errGone = errors.New("nothing is there")

// shape is a path without what is secret in it.
func shape(path string) string {
	if len(path) > 3 && path[0] == '/' && path[2] == '/' {
		return path[:3] + "…"
	}
	return path
}

// fetch opens an address as a reader's browser does.
func (s *site) fetch(ctx context.Context, url string, head func(http.Header)) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("open a page: %w", err)
	}
	if head != nil {
		head(req.Header)
	}
	return s.do(req, http.StatusOK, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect)
}
