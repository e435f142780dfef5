package manage_test

import (
	"context"
	"testing"

	"rapport/internal/seal"
)

// fakeRing rotates until it is asked again.
type fakeRing struct{ running, root bool }

func (f *fakeRing) Status(context.Context) (any, error) {
	return map[string]any{"pending": f.running}, nil
}

func (f *fakeRing) Rotation() (any, error) {
	return map[string]bool{"running": f.running, "root": f.root}, nil
}

func (f *fakeRing) Rotate(root bool) (any, error) {
	if f.running {
		return nil, seal.ErrRotating
	}
	f.running, f.root = true, root
	return f.Rotation()
}

func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for _, s := range []scenario{
		{name: "status", path: "/v1/keyring", status: 200, has: []string{`"pending":false`}},
		{name: "a stranger's question", path: "/v1/keyring?x=1", status: 400, has: []string{"unknown_parameter"}},
		{name: "what is not known", method: "POST", path: "/v1/keyring/rotation", body: `{"all":true}`, status: 400, has: []string{"unknown_field"}},
		{name: "begin", method: "POST", path: "/v1/keyring/rotation", body: `{"root":true}`, status: 202, has: []string{`"running":true`}},
		{name: "how far", path: "/v1/keyring/rotation", status: 200, has: []string{`"running":true`, `"root":true`}},
		{name: "again", method: "POST", path: "/v1/keyring/rotation", body: `{}`, status: 409, has: []string{"rotation_runs"}},
	} {
		t.Run(s.name, func(t *testing.T) { s.run(t, h) })
	}
}
