package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// mending is how a payload is changed before it is sent again: first a merge
// patch, then single values.
type mending struct {
	patch string   // file with a JSON merge patch, or - for standard input
	set   []string // path=value
}

func (m *mending) empty() bool { return m.patch == "" && len(m.set) == 0 }

// apply gives the mended payload. Numbers keep the digits they came with.
func (m *mending) apply(c *console, payload []byte) ([]byte, error) {
	doc, err := decodeJSON(payload)
	if err != nil {
		return nil, usagef("the payload is no JSON, so no part of it can be set: mend it as a file and use --with")
	}
	if m.patch != "" {
		raw, err := c.readAll(m.patch)
		if err != nil {
			return nil, err
		}
		patch, err := decodeJSON(raw)
		if err != nil {
			return nil, usagef("%s is no JSON merge patch: %v", m.patch, err)
		}
		doc = patched(doc, patch)
	}
	for _, s := range m.set {
		path, value, ok := strings.Cut(s, "=")
		if !ok || path == "" {
			return nil, usagef("--set takes path=value, not %q", s)
		}
		steps := strings.Split(path, ".")
		if single(doc) && steps[0] != batchKey {
			steps = append([]string{batchKey, "0"}, steps...)
		}
		if doc, err = setPath(doc, steps, looseValue(value)); err != nil {
			return nil, usagef("--set %s: %v", path, err)
		}
	}
	return encodeJSON(doc)
}

func encodeJSON(doc any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("write the mended payload: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// batchKey is the member of a batch that holds its events.
const batchKey = "batch"

// single tells whether a payload is one event that came in a batch: what is said
// of it is meant for the event.
func single(doc any) bool {
	d, _ := doc.(map[string]any)
	list, _ := d[batchKey].([]any)
	return len(list) == 1
}

func patched(doc, patch any) any {
	p, _ := patch.(map[string]any)
	if _, whole := p[batchKey]; single(doc) && !whole {
		list := doc.(map[string]any)[batchKey].([]any)
		list[0] = mergePatch(list[0], patch)
		return doc
	}
	return mergePatch(doc, patch)
}

func decodeJSON(b []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("something stands behind the JSON")
	}
	return v, nil
}

// looseValue reads a value as JSON where it is some, else as text, so that
// quotes are needed only where a number is meant as text.
func looseValue(s string) any {
	if v, err := decodeJSON([]byte(s)); err == nil {
		return v
	}
	return s
}

// mergePatch follows RFC 7396: null deletes, objects are joined, everything
// else replaces.
func mergePatch(doc, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	d, ok := doc.(map[string]any)
	if !ok {
		d = map[string]any{}
	}
	for name, v := range p {
		if v == nil {
			delete(d, name)
			continue
		}
		d[name] = mergePatch(d[name], v)
	}
	return d
}

// setPath puts a value at a path. A number leads into a list, which is not
// grown; objects on the way are made where there are none.
func setPath(doc any, path []string, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	switch d := doc.(type) {
	case nil:
		doc = map[string]any{}
		return setPath(doc, path, value)
	case map[string]any:
		inner, err := setPath(d[path[0]], path[1:], value)
		if err != nil {
			return nil, err
		}
		d[path[0]] = inner
		return d, nil
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(d) {
			return nil, fmt.Errorf("the list has %d items and no item %q (the first is 0)", len(d), path[0])
		}
		if d[i], err = setPath(d[i], path[1:], value); err != nil {
			return nil, err
		}
		return d, nil
	}
	return nil, fmt.Errorf("there is a plain value where %q would have to stand", path[0])
}
