package access_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rapport/internal/access"
	"rapport/internal/fault"
)

type keeper struct {
	mu   sync.Mutex
	rows []access.Key
	fail error
}

func (k *keeper) Write(_ context.Context, fn func(access.Store) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	return fn(k)
}

func (k *keeper) Read(_ context.Context, fn func(access.Store) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fn(k)
}

func (k *keeper) InsertKey(key access.Key) error {
	k.rows = append(k.rows, key)
	return nil
}

func (k *keeper) Keys() ([]access.Key, error) { return append([]access.Key(nil), k.rows...), nil }

func (k *keeper) RevokeKey(id string, at time.Time) (bool, error) {
	for i := range k.rows {
		if k.rows[i].ID == id {
			k.rows[i].Revoked = at
			return true, nil
		}
	}
	return false, nil
}

type bundle struct {
	*access.Keys
	keeper *keeper
	now    *time.Time
}

func setup(t *testing.T) bundle {
	t.Helper()
	now := time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)
	b := bundle{keeper: &keeper{}, now: &now}
	k, err := access.New(t.Context(), access.Config{Keeper: b.keeper, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	b.Keys = k
	return b
}

func TestCreateFindRevoke(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for kind, prefix := range map[access.Kind]string{access.Ingest: "rpk_", access.Browser: "rpb_", access.Manage: "rpm_"} {
		r := access.Request{Kind: kind, Source: "shop", Name: "n"}
		if kind == access.Manage {
			r.Source = ""
		}
		secret, key, err := b.Create(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		// 52 digits of 5 bits hold 256 bits.
		if !strings.HasPrefix(secret, prefix) || len(secret) != len(prefix)+52 || strings.Contains(secret, key.ID) {
			t.Errorf("%s: secret has the form %q…, %d bytes", kind, secret[:4], len(secret))
		}
		got, ok := b.Find(secret)
		if diff := cmp.Diff(key, got); !ok || diff != "" {
			t.Errorf("%s: want -, got +:\n%s", kind, diff)
		}
		for _, wrong := range []string{"", secret + "x", secret[:len(secret)-1], strings.ToUpper(secret), prefix, strings.Repeat("x", 10_000)} {
			if _, ok := b.Find(wrong); ok {
				t.Errorf("%s: found by another secret", kind)
			}
		}
		if err := b.Revoke(t.Context(), key.ID); err != nil {
			t.Fatal(err)
		}
		if _, ok := b.Find(secret); ok {
			t.Errorf("%s: found after it was revoked", kind)
		}
		if err := b.Revoke(t.Context(), key.ID); err != nil {
			t.Errorf("revoked twice: %v", err)
		}
	}
	if n := len(b.List()); n != 3 {
		t.Errorf("%d keys listed, want 3", n)
	}
}

// TestOnlyHashesAreKept looks for the secret in everything that is stored.
func TestOnlyHashesAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret, key, err := b.Create(t.Context(), access.Request{Kind: access.Ingest, Source: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	row := b.keeper.rows[0]
	for _, s := range []string{row.ID, row.Name, row.Source, string(row.Hash[:])} {
		if strings.Contains(s, secret[4:12]) {
			t.Error("a part of the secret is stored")
		}
	}
	if row.Hash != access.HashOf(secret) || key.Hash != row.Hash {
		t.Error("the hash is not that of the whole secret")
	}
}

func TestSurvivesARestart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret, key, _ := b.Create(t.Context(), access.Request{Kind: access.Ingest, Source: "shop"})
	gone, other, _ := b.Create(t.Context(), access.Request{Kind: access.Manage})
	if err := b.Revoke(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	again, err := access.New(t.Context(), access.Config{Keeper: b.keeper, Now: func() time.Time { return *b.now }})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := again.Find(secret); !ok || got.ID != key.ID {
		t.Error("a key is lost")
	}
	if _, ok := again.Find(gone); ok {
		t.Error("a revoked key is back")
	}
}

func TestExpires(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret, _, _ := b.Create(t.Context(), access.Request{Kind: access.Manage, Expires: b.now.Add(time.Hour)})
	*b.now = b.now.Add(time.Hour - 1)
	if _, ok := b.Find(secret); !ok {
		t.Error("expired too early")
	}
	*b.now = b.now.Add(1)
	if _, ok := b.Find(secret); ok {
		t.Error("found at the instant of its expiry")
	}
}

func TestDeclared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const secret = "a secret out of the environment"
	declared := access.Declared(access.Browser, "site", access.HashOf(secret))
	b.Declare([]access.Key{declared})
	if got, ok := b.Find(secret); !ok || got.Kind != access.Browser || got.Source != "site" {
		t.Errorf("got %+v %v", got, ok)
	}
	if err := b.Revoke(t.Context(), declared.ID); fault.KindOf(err) != fault.Conflict {
		t.Errorf("revoked: %v", err)
	}
	b.Declare(nil)
	if _, ok := b.Find(secret); ok {
		t.Error("found after it left the configuration")
	}
}

// TestRevokedStaysRevoked declares the hash of a revoked key again.
func TestRevokedStaysRevoked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret, key, _ := b.Create(t.Context(), access.Request{Kind: access.Ingest, Source: "shop"})
	if err := b.Revoke(t.Context(), key.ID); err != nil {
		t.Fatal(err)
	}
	b.Declare([]access.Key{access.Declared(access.Ingest, "shop", key.Hash)})
	if _, ok := b.Find(secret); ok {
		t.Error("the configuration brought a revoked key back")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tt := range []struct {
		r    access.Request
		code string
	}{
		{access.Request{Kind: "root"}, "unknown_key_kind"},
		{access.Request{Kind: access.Ingest}, "source_required"},
		{access.Request{Kind: access.Manage, Source: "shop"}, "source_not_allowed"},
		{access.Request{Kind: access.Manage, Name: strings.Repeat("n", 201)}, "name_too_long"},
	} {
		if _, _, err := b.Create(t.Context(), tt.r); fault.CodeOf(err) != tt.code {
			t.Errorf("%+v: %v", tt.r, err)
		}
	}
	if err := b.Revoke(t.Context(), "key_none"); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	b.keeper.fail = errors.New("disk full")
	if secret, _, err := b.Create(t.Context(), access.Request{Kind: access.Manage}); err == nil || secret != "" {
		t.Error("a key that could not be kept was given out")
	}
	if len(b.List()) != 0 {
		t.Error("a key that could not be kept is listed")
	}
}

func BenchmarkFind(b *testing.B) {
	k, err := access.New(b.Context(), access.Config{Keeper: &keeper{}, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	secret, _, err := k.Create(b.Context(), access.Request{Kind: access.Ingest, Source: "shop"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := k.Find(secret); !ok {
			b.Fatal("not found")
		}
	}
}
