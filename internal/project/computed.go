package project

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"rapport/internal/purpose"
	"rapport/internal/purview"
)

// ComputedIn gives for what traits may be used that the journeys of a folder compute
// that was in effect once, or that journeys before it did. Where this program does not
// read any more what the folder says of that, nobody can tell what such a trait was
// made of: then it may be used for nothing. An error says that not even its name can
// be read.
func ComputedIn(folder map[string][]byte, former map[string]purview.Use) (map[string]purview.Use, error) {
	l := loading(Files(folder), Warning, former)
	l.find()
	l.read()
	l.cross()
	if l.config.Policy != nil && !slices.ContainsFunc(l.report.problems, decides) {
		return l.config.Computed, nil
	}
	if len(former) == 0 && !narrows(folder) {
		return former, nil // No plan said for what anything may be used.
	}
	out := maps.Clone(former)
	if out == nil {
		out = map[string]purview.Use{}
	}
	for _, p := range slices.Sorted(maps.Keys(folder)) {
		if path.Dir(p) != "journeys" || !isYAML(p) {
			continue
		}
		var doc yaml.Node
		if err := yaml.Load(folder[p], &doc); err != nil {
			return nil, fmt.Errorf("%s cannot be read, so nobody can tell which traits it computed, nor of what: serve this house with the version of Rapport that applied it", p)
		}
		for _, trait := range madeIn(&doc, nil) {
			out[trait] = purview.Use{Purposes: purpose.Set{}, Class: out[trait].Class}
		}
	}
	return out, nil
}

// AboutComputing tells whether a file has a say in what is computed of what, and for
// what that may be used.
func AboutComputing(file string) bool {
	return strings.HasPrefix(file, "journeys/") || strings.HasPrefix(file, "plan/") || file == "purposes.yaml"
}

// decides tells whether a problem leaves open what is computed of what.
func decides(p Problem) bool { return p.Severity == Error && AboutComputing(p.File) }

// narrows tells whether a plan of a folder may say for what something may be used, as
// far as its text shows that.
func narrows(folder map[string][]byte) bool {
	for p, body := range folder {
		if path.Dir(p) == "plan" && (bytes.Contains(body, []byte("purposes")) || bytes.Contains(body, []byte(purpose.Sensitive.String()))) {
			return true
		}
	}
	return false
}

// madeIn finds the traits that set steps make of something, wherever they stand.
func madeIn(n *yaml.Node, list []string) []string {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Value == "set" && n.Content[i+1].Kind == yaml.MappingNode {
			for j, key := range n.Content[i+1].Content {
				if j%2 == 0 && made(n.Content[i+1].Content[j+1]) {
					list = append(list, key.Value)
				}
			}
		}
		list = madeIn(c, list)
	}
	return list
}

// made tells whether a value is made of something: anything but a text or number that
// stands there.
func made(n *yaml.Node) bool {
	return n.Kind != yaml.ScalarNode || strings.Contains(n.Value, "{")
}

func loading(fsys fs.FS, outside Severity, former map[string]purview.Use) *loader {
	return &loader{fsys: fsys, outside: outside, former: former, report: &report{}, files: map[string][]byte{}, parsed: map[string]*file{}}
}
