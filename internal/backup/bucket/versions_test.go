package bucket_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rapport/internal/backup"
	"rapport/internal/backup/bucket"
	"rapport/internal/backup/bucket/buckettest"
	"rapport/internal/fault"
)

// again writes an object so often, and takes it away before each time but the first.
func again(t *testing.T, b *bucket.Bucket, name string, times int) {
	t.Helper()
	for n := range times {
		if n > 0 {
			if err := b.Remove(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if err := put(t, b, name, []byte{byte(n)}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDestroyLeavesNoVersion, whatever the bucket's versioning is and was; what has
// another name stays with its versions.
func TestDestroyLeavesNoVersion(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ before, then buckettest.Versioning }{
		"never":     {buckettest.Never, buckettest.Never},
		"enabled":   {buckettest.Enabled, buckettest.Enabled},
		"since":     {buckettest.Never, buckettest.Enabled},
		"suspended": {buckettest.Enabled, buckettest.Suspended},
	} {
		for _, times := range []int{1, 4} {
			s, c := serving(t)
			b := open(t, c)
			s.Keep(row.before)
			again(t, b, "keys.age", times)
			s.Keep(row.then)
			again(t, b, "keys.age.more", 1)
			if err := b.Destroy(t.Context(), "keys.age"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if objects, _ := s.Versions(); objects != 1 {
				t.Errorf("%s, written %d times: %d versions are left, want that of the other", name, times, objects)
			}
			if list, err := b.Former(t.Context()); err != nil || len(list) > 0 {
				t.Errorf("%s: former are %v, %v", name, list, err)
			}
		}
	}
}

// TestWhatWasRemovedIsFormer where versions are kept, and can be destroyed then.
func TestWhatWasRemovedIsFormer(t *testing.T) {
	t.Parallel()
	s, c := serving(t)
	b := open(t, c)
	s.Keep(buckettest.Enabled)
	again(t, b, "there.age", 2)
	again(t, b, "gone.age", 3)
	again(t, b, "deeper/gone.age", 1)
	for _, name := range []string{"gone.age", "deeper/gone.age"} {
		if err := b.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := b.Former(t.Context()); err != nil || fmt.Sprint(list) != "[{gone.age 1}]" {
		t.Errorf("former are %v, %v", list, err)
	}
	if err := b.Destroy(t.Context(), "gone.age"); err != nil {
		t.Error(err)
	}
	if list, err := b.Former(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("then former are %v, %v", list, err)
	}
	if objects, marks := s.Versions(); objects != 3 || marks != 2 {
		t.Errorf("%d objects and %d marks are left, want 3 and 2", objects, marks)
	}
}

// TestVersionsThatStay are told with what to do about them, and where there are none
// nothing more is to be permitted than before.
func TestVersionsThatStay(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		keeps  buckettest.Versioning
		action string
		status int
		stays  bool
	}{
		"no versions, not to be listed":  {buckettest.Never, "s3:ListBucketVersions", http.StatusForbidden, false},
		"no versions, not known":         {buckettest.Never, "s3:ListBucketVersions", http.StatusNotImplemented, false},
		"no versions, not to be deleted": {buckettest.Never, "s3:DeleteObjectVersion", http.StatusForbidden, false},
		"not to be listed":               {buckettest.Enabled, "s3:ListBucketVersions", http.StatusForbidden, true},
		"not known":                      {buckettest.Enabled, "s3:ListBucketVersions", http.StatusNotImplemented, true},
		"not to be deleted":              {buckettest.Enabled, "s3:DeleteObjectVersion", http.StatusForbidden, true},
	} {
		s, c := serving(t)
		b := open(t, c)
		s.Keep(row.keeps)
		s.Deny(row.action, row.status)
		again(t, b, "keys.age", 1)
		err := b.Destroy(t.Context(), "keys.age")
		if row.stays != (fault.CodeOf(err) == "bucket_versions") || row.stays && !strings.Contains(err.Error(), fmt.Sprint("answers ", row.status)) || row.stays && !strings.Contains(err.Error(), "permit s3:ListBucketVersions and s3:DeleteObjectVersion") || !row.stays && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if objects, _ := s.Versions(); (objects > 0) != row.stays {
			t.Errorf("%s: %d versions are left", name, objects)
		}
		if list, err := b.List(t.Context()); err != nil || name == "not to be deleted" && len(list) == 0 {
			t.Errorf("%s: what could not be destroyed is out of sight: %v, %v", name, list, err)
		}
	}
}

// TestPruneDestroysKeys with their versions, also those that were taken away before and
// live on; copies of data are kept as the bucket keeps them, and others' are not touched.
func TestPruneDestroysKeys(t *testing.T) {
	t.Parallel()
	s, c := serving(t)
	b := open(t, c)
	s.Keep(buckettest.Enabled)
	name := func(house string, kind backup.Kind, hours int) string {
		return backup.Name(house, kind, noon.Add(-time.Duration(hours)*time.Hour))
	}
	for _, kind := range []backup.Kind{backup.Data, backup.Keys} {
		for _, hours := range []int{100, 50, 1} {
			again(t, b, name("0a", kind, hours), 1)
			again(t, b, name("0b", kind, hours), 1)
		}
		if err := b.Remove(t.Context(), name("0a", kind, 100)); err != nil {
			t.Fatal(err)
		}
		if err := b.Remove(t.Context(), name("0b", kind, 100)); err != nil {
			t.Fatal(err)
		}
	}
	keep := backup.Keep{For: 48 * time.Hour}
	for kind, want := range map[backup.Kind]string{
		backup.Data: fmt.Sprint([]string{name("0a", backup.Data, 50)}),
		backup.Keys: fmt.Sprint([]string{name("0a", backup.Keys, 50), name("0a", backup.Keys, 100)}),
	} {
		if gone, err := backup.Prune(t.Context(), b, "0a", kind, keep, noon); err != nil || fmt.Sprint(gone) != want {
			t.Errorf("%s: gone are %v, %v", kind, gone, err)
		}
	}
	if objects, _ := s.Versions(); objects != 10 {
		t.Errorf("%d versions are left of 12, want all but two of keys", objects)
	}
}

// TestPruneGoesOn where one copy refuses to go, and says so.
func TestPruneGoesOn(t *testing.T) {
	t.Parallel()
	s, c := serving(t)
	b := open(t, c)
	for hours := range 4 {
		s.Keep(map[bool]buckettest.Versioning{true: buckettest.Enabled, false: buckettest.Never}[hours == 2])
		again(t, b, backup.Name("0a", backup.Keys, noon.Add(-time.Duration(hours)*time.Hour)), 1)
	}
	s.Keep(buckettest.Never)
	s.Deny("s3:DeleteObjectVersion", http.StatusForbidden)
	gone, err := backup.Prune(t.Context(), b, "0a", backup.Keys, backup.Keep{Last: 1}, noon)
	if len(gone) != 2 || fault.CodeOf(err) != "bucket_versions" {
		t.Errorf("gone are %v, %v", gone, err)
	}
}
