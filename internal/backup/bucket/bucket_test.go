package bucket_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"rapport/internal/backup"
	"rapport/internal/backup/bucket"
	"rapport/internal/backup/bucket/buckettest"
	"rapport/internal/fault"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func serving(t *testing.T) (*buckettest.Service, bucket.Config) {
	t.Helper()
	s := buckettest.New(func() time.Time { return noon })
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, bucket.Config{
		Address: "s3://" + buckettest.Name + "/of/rapport", Endpoint: srv.URL, Region: buckettest.Region, AccessKey: buckettest.AccessKey, Secret: buckettest.Secret,
		PartSize: 1 << 10, Now: func() time.Time { return noon }, Client: srv.Client(), Pause: time.Millisecond,
	}
}

func open(t *testing.T, c bucket.Config) *bucket.Bucket {
	t.Helper()
	b, err := bucket.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, b *bucket.Bucket, name string, body []byte) error {
	t.Helper()
	return b.Put(t.Context(), name, func(w io.Writer) error {
		for len(body) > 0 { // In pieces that no part ends with.
			n := min(len(body), 333)
			if _, err := w.Write(body[:n]); err != nil {
				return err
			}
			body = body[n:]
		}
		return nil
	})
}

// TestBucket: what goes in comes out, in one part or in many, is listed and taken
// away; a service that fails now and then is asked again.
func TestBucket(t *testing.T) {
	t.Parallel()
	s, c := serving(t)
	b := open(t, c)
	for name, size := range map[string]int{"none.age": 0, "small.age": 100, "whole part.age": 1024, "many+parts=(1)@ä.age": 300_000} {
		body := bytes.Repeat([]byte{byte(size), 7}, size/2)
		s.Fail(2)
		if err := put(t, b, name, body); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []byte
		err := b.Get(t.Context(), name, func(r io.Reader) (err error) {
			got, err = io.ReadAll(r)
			return err
		})
		if err != nil && size > 0 || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes of %d come back, %v", name, len(got), len(body), err)
		}
	}
	if err := put(t, b, "small.age", nil); fault.CodeOf(err) != "backup_there" {
		t.Errorf("over another: %v", err)
	}
	if err := b.Remove(t.Context(), "small.age"); err != nil {
		t.Error(err)
	}
	list, err := b.List(t.Context())
	slices.SortFunc(list, func(a, b backup.Object) int { return strings.Compare(a.Name, b.Name) })
	if err != nil || fmt.Sprint(list) != "[{many+parts=(1)@ä.age 300000} {none.age 0} {whole part.age 1024}]" {
		t.Errorf("listed %v, %v", list, err)
	}
	if _, uploads := s.Left(); uploads > 0 {
		t.Errorf("%d uploads are left", uploads)
	}
}

// TestAnUploadThatFails leaves nothing: neither an object nor parts of one.
func TestAnUploadThatFails(t *testing.T) {
	t.Parallel()
	s, c := serving(t)
	b := open(t, c)
	gaveUp := errors.New("the disk is gone")
	err := b.Put(t.Context(), "half.age", func(w io.Writer) error {
		_, err := w.Write(make([]byte, 5000))
		return errors.Join(err, gaveUp)
	})
	if objects, uploads := s.Left(); !errors.Is(err, gaveUp) || objects > 0 || uploads > 0 {
		t.Errorf("%v, %d objects and %d uploads are left", err, objects, uploads)
	}
	s.Fail(1000)
	if err := put(t, b, "never.age", make([]byte, 10)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a service that fails: %v", err)
	}
}

// TestABucketThatRefuses: whoever is not known, or asks elsewhere, is told what to look
// at, and no secret is in an error. Temporary keys come with a session.
func TestABucketThatRefuses(t *testing.T) {
	t.Parallel()
	s, c := serving(t)
	for name, row := range map[string]struct {
		change     func(*bucket.Config)
		code, says string
	}{
		"another secret":  {func(c *bucket.Config) { c.Secret = "another secret" }, "bucket_denied", "see to the keys"},
		"another key":     {func(c *bucket.Config) { c.AccessKey = "AKIDSTRANGER" }, "bucket_denied", "see to the keys"},
		"another session": {func(c *bucket.Config) { c.Session = "another secret" }, "bucket_denied", "see to the keys"},
		"another region":  {func(c *bucket.Config) { c.Region = "us-east-1" }, "bucket_elsewhere", "AWS_REGION"},
		"another bucket":  {func(c *bucket.Config) { c.Address = "s3://others" }, "no_backup", "no such bucket"},
		"nobody there":    {func(c *bucket.Config) { c.Endpoint = "http://127.0.0.1:1" }, "bucket_unreachable", "try again"},
	} {
		other := c
		row.change(&other)
		_, err := open(t, other).List(t.Context())
		if fault.CodeOf(err) != row.code || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Session = buckettest.Session
	if err := put(t, open(t, c), "temporary.age", []byte("x")); err != nil {
		t.Error(err)
	}
	if objects, _ := s.Left(); objects != 1 {
		t.Errorf("%d objects are left, want 1", objects)
	}
	for _, bad := range []bucket.Config{
		{Address: "s3://../x", AccessKey: "a", Secret: "b", Now: c.Now, Client: c.Client},
		{Address: "s3://a?b/x", AccessKey: "a", Secret: "b", Now: c.Now, Client: c.Client},
		{Address: "s3://", AccessKey: "a", Secret: "b", Now: c.Now, Client: c.Client},
		{Address: "s3://x", Now: c.Now, Client: c.Client},
		{Address: "s3://x", AccessKey: "a", Secret: "b", Endpoint: "ftp://files.example", Now: c.Now, Client: c.Client},
		{Address: "s3://x", AccessKey: "a", Secret: "b", Endpoint: "http://files.example", Now: c.Now, Client: c.Client},
	} {
		if _, err := bucket.New(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s %s: %v", bad.Address, bad.Endpoint, err)
		}
	}
}
