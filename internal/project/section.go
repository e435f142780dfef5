package project

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// section reads one mapping strictly: it knows every key that may stand there,
// refuses the others with a suggestion, and reports each value of a wrong kind
// at its own line. A nil section answers everything with the default, so that
// callers need not ask whether it is there.
type section struct {
	file *file
	node *yaml.Node
	what string // for messages: "the source", "sending"
	at   map[string]pair
}

type pair struct{ key, value *yaml.Node }

// section opens a mapping that may have these keys. It is nil when the node is
// nil, null, or not a mapping (which is reported).
func (f *file) section(n *yaml.Node, what string, keys ...string) *section {
	if n == nil || isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		f.errorf(n, "write it as `key: value` lines", "%s must be a mapping, not %s", what, kindOf(n))
		return nil
	}
	s := &section{file: f, node: n, what: what, at: make(map[string]pair, len(n.Content)/2)}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !slices.Contains(keys, key.Value) {
			f.errorf(key, didYouMean(key.Value, keys), "%s has no key %q", what, key.Value)
			continue
		}
		if !isNull(value) {
			s.at[key.Value] = pair{key, value}
		}
	}
	return s
}

// has tells whether a key stands there with a value.
func (s *section) has(key string) bool { return s.value(key) != nil }

// value gives a key's value, nil when it is missing.
func (s *section) value(key string) *yaml.Node {
	if s == nil {
		return nil
	}
	return s.at[key].value
}

// key gives the key's own node, else the section's, for messages.
func (s *section) key(key string) *yaml.Node {
	if s == nil {
		return nil
	}
	if p, ok := s.at[key]; ok {
		return p.key
	}
	return s.node
}

// need reports a key that must be there and is not.
func (s *section) need(hint string, keys ...string) {
	if s == nil {
		return
	}
	for _, k := range keys {
		if !s.has(k) {
			s.file.errorf(s.node, hint, "%s needs the key %q", s.what, k)
		}
	}
}

// sub opens a mapping below.
func (s *section) sub(key string, keys ...string) *section {
	if s == nil {
		return nil
	}
	return s.file.section(s.value(key), strconv.Quote(key), keys...)
}

// text reads one line of text.
func (s *section) text(key string) string {
	n := s.value(key)
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		s.file.errorf(n, "", "%q must be text, not %s", key, kindOf(n))
		return ""
	}
	v := strings.TrimSpace(n.Value)
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
		s.file.errorf(n, "write it in one line", "%q must be one line of text", key)
		return ""
	}
	return v
}

// prose reads text that may have several lines.
func (s *section) prose(key string) string {
	n := s.value(key)
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		s.file.errorf(n, "", "%q must be text, not %s", key, kindOf(n))
		return ""
	}
	return strings.TrimSpace(n.Value)
}

// choice reads one of some words; the first is the default.
func (s *section) choice(key string, words ...string) string {
	v := s.text(key)
	if v == "" {
		return words[0]
	}
	if !slices.Contains(words, v) {
		s.file.errorf(s.value(key), didYouMean(v, words), "%q cannot be %q", key, v)
		return words[0]
	}
	return v
}

// integer reads a whole number between two bounds.
func (s *section) integer(key string, otherwise, least, most int) int {
	n := s.value(key)
	if n == nil {
		return otherwise
	}
	v, err := strconv.Atoi(strings.ReplaceAll(n.Value, "_", ""))
	if n.Kind != yaml.ScalarNode || err != nil {
		s.file.errorf(n, fmt.Sprintf("write for example %d", otherwise), "%q must be a whole number, not %q", key, n.Value)
		return otherwise
	}
	if v < least || v > most {
		s.file.errorf(n, "", "%q must be between %d and %d, not %d", key, least, most, v)
		return otherwise
	}
	return v
}

// number reads a positive number that may have a fraction.
func (s *section) number(key string, otherwise, most float64) float64 {
	n := s.value(key)
	if n == nil {
		return otherwise
	}
	v, err := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
	if n.Kind != yaml.ScalarNode || err != nil || math.IsNaN(v) {
		s.file.errorf(n, "", "%q must be a number, not %q", key, n.Value)
		return otherwise
	}
	if v <= 0 || v > most {
		s.file.errorf(n, "", "%q must be more than 0 and at most %g, not %g", key, most, v)
		return otherwise
	}
	return v
}

// duration reads 30s, 15m, 24h, 7d or 2w between two bounds.
func (s *section) duration(key string, otherwise, least, most time.Duration) time.Duration {
	n := s.value(key)
	if n == nil {
		return otherwise
	}
	d, ok := parseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || !ok {
		s.file.errorf(n, "write for example "+span(cmp.Or(otherwise, 30*day)), "%q must be a duration such as 30s, 15m, 24h, 7d or 2w, not %q", key, n.Value)
		return otherwise
	}
	if d < least || d > most {
		s.file.errorf(n, "", "%q must be between %s and %s, not %s", key, span(least), span(most), n.Value)
		return otherwise
	}
	return d
}

// size reads a number of bytes: 512, 32KB, 4MB.
func (s *section) size(key string, otherwise, least, most int) int {
	n := s.value(key)
	if n == nil {
		return otherwise
	}
	digits, unit := n.Value, 1
	for suffix, factor := range map[string]int{"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30} {
		if d, ok := strings.CutSuffix(strings.ToUpper(n.Value), suffix); ok {
			digits, unit = strings.TrimSpace(d), factor
		}
	}
	v, err := strconv.Atoi(digits)
	if err != nil || v < 0 || v > most {
		s.file.errorf(n, "write for example 32KB or 4MB", "%q must be a number of bytes up to %s, not %q", key, bytesText(most), n.Value)
		return otherwise
	}
	if v > most/unit || v*unit < least {
		s.file.errorf(n, "", "%q must be between %s and %s, not %s", key, bytesText(least), bytesText(most), n.Value)
		return otherwise
	}
	return v * unit
}

// items gives the nodes of a list; a single value is a list of one.
func (s *section) items(key string) []*yaml.Node {
	n := s.value(key)
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		return n.Content
	}
	return []*yaml.Node{n}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		return strconv.Quote(n.Value)
	}
}

// parseDuration reads a whole number and one of s, m, h, d, w.
func parseDuration(s string) (time.Duration, bool) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	if len(s) < 2 {
		return 0, false
	}
	unit, ok := units[s[len(s)-1]]
	n, err := strconv.ParseInt(s[:len(s)-1], 10, 32)
	if !ok || err != nil || n < 0 || n > int64(math.MaxInt64/unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// span writes a duration as parseDuration reads it.
func span(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		sign string
	}{{7 * 24 * time.Hour, "w"}, {24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= u.size && d%u.size == 0 && (u.sign != "w" || d >= 14*24*time.Hour) && (u.sign != "d" || d > 24*time.Hour) {
			return strconv.FormatInt(int64(d/u.size), 10) + u.sign
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

func bytesText(n int) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return strconv.Itoa(n>>30) + "GB"
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "MB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "KB"
	}
	return strconv.Itoa(n)
}
