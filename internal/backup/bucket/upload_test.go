package bucket_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport/internal/backup"
	"rapport/internal/backup/bucket"
	"rapport/internal/backup/bucket/buckettest"
	"rapport/internal/fault"
)

// TestAnEndWhoseAnswerIsLost is one all the same: the service knows no such upload any
// more when it is asked again, and the object is there.
func TestAnEndWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	s, c := serving(t)
	b := open(t, c)
	s.Lose(1)
	if err := put(t, b, "lost.age", make([]byte, 5000)); err != nil {
		t.Error(err)
	}
	if objects, uploads := s.Left(); objects != 1 || uploads > 0 {
		t.Errorf("%d objects and %d uploads are left", objects, uploads)
	}
}

// TestAnEndThatFails is none, also where another object has the name meanwhile.
func TestAnEndThatFails(t *testing.T) {
	t.Parallel()
	for _, other := range []int{-1, 10} {
		s, c := serving(t)
		b := open(t, c)
		err := b.Put(t.Context(), "half.age", func(w io.Writer) error {
			if other >= 0 {
				if err := put(t, open(t, c), "half.age", make([]byte, other)); err != nil {
					return err
				}
			}
			_, err := w.Write(make([]byte, 2<<10)) // Two whole parts: nothing is left to send but the end.
			s.Fail(3)
			return err
		})
		if objects, uploads := s.Left(); fault.CodeOf(err) != "bucket_failed" || objects != max(0, min(1, other)) || uploads > 0 {
			t.Errorf("%v, %d objects and %d uploads are left", err, objects, uploads)
		}
	}
}

// dies begins an upload that nobody ends or takes back.
func dies(t *testing.T, s *buckettest.Service, b *bucket.Bucket, name string) {
	t.Helper()
	killed := errors.New("killed")
	err := b.Put(t.Context(), name, func(w io.Writer) error {
		_, err := w.Write(make([]byte, 3000))
		s.Fail(3)
		return errors.Join(err, killed)
	})
	if !errors.Is(err, killed) {
		t.Fatal(err)
	}
}

// TestUploadsOfTheDeadAreTakenBack once they are old; another's, and what may go on,
// stays.
func TestUploadsOfTheDeadAreTakenBack(t *testing.T) {
	t.Parallel()
	s, c := serving(t)
	b := open(t, c)
	name := func(house string, kind backup.Kind, n int) string {
		return backup.Name(house, kind, noon.Add(time.Duration(n)*time.Minute))
	}
	s.At(noon.Add(-49 * time.Hour))
	for _, x := range []string{name("0a", backup.Keys, 1), name("0a", backup.Keys, 2), name("0a", backup.Data, 1), name("0b", backup.Keys, 1), "other.bin"} {
		dies(t, s, b, x)
	}
	s.At(noon.Add(-47 * time.Hour))
	dies(t, s, b, name("0a", backup.Keys, 3))
	gone, err := backup.Tidy(t.Context(), b, "0a", backup.Keys, noon)
	slices.Sort(gone)
	if want := fmt.Sprint([]string{name("0a", backup.Keys, 1), name("0a", backup.Keys, 2)}); err != nil || fmt.Sprint(gone) != want {
		t.Errorf("taken back are %v, %v; want %s", gone, err, want)
	}
	if _, uploads := s.Left(); uploads != 4 {
		t.Errorf("%d uploads are left, want 4", uploads)
	}
	s.Deny("s3:ListBucketMultipartUploads", http.StatusForbidden)
	if _, err := backup.Tidy(t.Context(), b, "0a", backup.Keys, noon); fault.CodeOf(err) != "bucket_uploads" || !strings.Contains(err.Error(), "AbortIncompleteMultipartUpload") {
		t.Errorf("uploads that are not to be listed: %v", err)
	}
}
