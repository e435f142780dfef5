package pgstore

import (
	"strings"
	"testing"

	"rapport/internal/fault"
)

func TestTLSIsVerifiedUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"postgres://u@db.example/rapport":                      "verify-full",
		"postgres://u@db.example/rapport?connect_timeout=3":    "verify-full",
		"postgres://u@db.example/rapport?sslmode=disable":      "disable",
		"host=db.example user=u dbname=rapport":                "verify-full",
		"host=db.example user=u dbname=rapport sslmode=prefer": "prefer",
		"postgres://u@127.0.0.1/rapport":                       "",
		"postgres://u@localhost/rapport":                       "",
		"postgres://u@/rapport?host=/run/postgresql":           "",
	} {
		got, err := safely(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
		}
		if _, mode, _ := strings.Cut(got, "sslmode="); mode != want {
			t.Errorf("%s became %s, want sslmode %q", address, got, want)
		}
	}
}

func TestAnAddressNeverShowsItsPassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"postgres://u:secret@:bad/x", "postgres://u:secret@127.0.0.1:1/x?connect_timeout=1"} {
		_, err := OpenState(t.Context(), Config{URL: address})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
		if k := fault.KindOf(err); k != fault.Invalid && k != fault.Unavailable {
			t.Errorf("kind %v of %v", k, err)
		}
	}
}
