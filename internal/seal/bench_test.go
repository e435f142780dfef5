package seal_test

import (
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"rapport/internal/id"
	"rapport/internal/seal"
	"rapport/internal/seal/keyset"
	"rapport/internal/store/sqlitestore"
)

// BenchmarkRing seals and opens half a kilobyte for one person after the other:
// of few, whose keys are ready; of more, whose keys are in memory as they are; and
// of so many that each is read from keys.db.
func BenchmarkRing(b *testing.B) {
	kept, err := sqlitestore.OpenKeyring(sqlitestore.KeyringConfig{Path: filepath.Join(b.TempDir(), "keys.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = kept.Close() }()
	root, err := keyset.New()
	if err != nil {
		b.Fatal(err)
	}
	r, err := seal.Open(seal.Config{Store: kept, Root: root, Rand: rand.Reader, Now: time.Now, Fresh: true})
	if err != nil {
		b.Fatal(err)
	}
	const most = 400_000
	for n := 1; n < most; n += 256 {
		if err := r.Mint(seal.Person(id.Person(n))); err != nil {
			b.Fatal(err)
		}
	}
	plain, label := make([]byte, 512), []byte("label")
	for _, c := range []struct {
		name   string
		people int
	}{{"ready", 1_000}, {"in_memory", 60_000}, {"in_file", most}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var sealed, opened []byte
			n := 0
			for b.Loop() {
				n = (n + 7919) % c.people
				k := seal.Person(id.Person(n + 1))
				if sealed, err = r.Seal(sealed[:0], k, label, plain); err == nil {
					opened, err = r.Open(opened[:0], label, sealed)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
