package scenario_test

import (
	"reflect"
	"slices"
	"testing"

	"rapport/internal/scenario"
	"rapport/internal/schema"
)

// TestSchema holds the table of keys of a script against what is read.
func TestSchema(t *testing.T) {
	t.Parallel()
	for _, f := range schema.Files() {
		if f.Name == "test" {
			compare(t, "script", f.Type, reflect.TypeFor[scenario.Script]())
			return
		}
	}
	t.Error("there is no schema of scripts")
}

func compare(t *testing.T, at string, table *schema.Type, read reflect.Type) {
	t.Helper()
	for table.Kind == schema.List {
		table = table.Item
	}
	for read.Kind() == reflect.Pointer || read.Kind() == reflect.Slice {
		read = read.Elem()
	}
	if table.Kind != schema.Mapping || read.Kind() != reflect.Struct {
		return
	}
	var listed, known []string
	for _, k := range table.Keys {
		listed = append(listed, k.Name)
	}
	for i := range read.NumField() {
		f := read.Field(i)
		name := f.Tag.Get("yaml")
		if name == "" {
			continue
		}
		known = append(known, name)
		if k := slices.Index(listed, name); k >= 0 {
			compare(t, at+"."+name, table.Keys[k].Type, f.Type)
		}
	}
	slices.Sort(listed)
	slices.Sort(known)
	if !slices.Equal(listed, known) {
		t.Errorf("%s: read are %v, listed are %v", at, known, listed)
	}
}
