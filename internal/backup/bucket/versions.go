package bucket

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rapport/internal/backup"
	"rapport/internal/fault"
)

// version is one of an object, or a mark that it was deleted.
type version struct {
	Key    string
	ID     string `xml:"VersionId"`
	Latest bool   `xml:"IsLatest"`
	Size   int64
}

// none is the id of what was written where versions are not kept.
const none = "null"

// versions lists what is kept under keys that begin so: objects, and marks of deletion.
func (b *Bucket) versions(ctx context.Context, prefix string) (objects, marks []version, err error) {
	q := url.Values{"versions": {""}, "prefix": {prefix}}
	for {
		raw, _, err := b.do(ctx, request{method: http.MethodGet, query: q})
		if err != nil {
			return nil, nil, err
		}
		var page struct {
			Objects []version `xml:"Version"`
			Marks   []version `xml:"DeleteMarker"`
			More    bool      `xml:"IsTruncated"`
			Key     string    `xml:"NextKeyMarker"`
			ID      string    `xml:"NextVersionIdMarker"`
		}
		if err := xml.Unmarshal(raw, &page); err != nil {
			return nil, nil, fmt.Errorf("read the bucket's answer: %w", err)
		}
		objects, marks = append(objects, page.Objects...), append(marks, page.Marks...)
		if !page.More || page.Key == "" {
			return objects, marks, nil
		}
		q.Set("key-marker", page.Key)
		q.Del("version-id-marker")
		if page.ID != "" {
			q.Set("version-id-marker", page.ID)
		}
	}
}

// versionsOf lists those of one object.
func (b *Bucket) versionsOf(ctx context.Context, key string) (objects, marks []version, err error) {
	objects, marks, err = b.versions(ctx, key)
	others := func(v version) bool { return v.Key != key }
	return slices.DeleteFunc(objects, others), slices.DeleteFunc(marks, others), err
}

// unheard tells whether a service refuses, or does not know, what it was asked for.
func unheard(err error) bool {
	kind := fault.KindOf(err)
	return err != nil && (kind == fault.Denied || kind == fault.Invalid)
}

// answer gives what the service answered, without what mostly is to be done about it.
func answer(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err.Error()
	}
	said, _, _ := strings.Cut(f.Detail, ": ")
	return said
}

// Former implements backup.Place. A service that does not list versions shows at a
// removal whether it keeps them.
func (b *Bucket) Former(ctx context.Context) (out []backup.Object, err error) {
	objects, _, err := b.versions(ctx, b.prefix)
	if unheard(err) {
		return nil, nil
	}
	there := map[string]bool{}
	for _, v := range objects {
		there[v.Key] = there[v.Key] || v.Latest
	}
	for _, v := range objects {
		if name := strings.TrimPrefix(v.Key, b.prefix); !there[v.Key] && !strings.Contains(name, "/") {
			out = append(out, backup.Object{Name: name, Size: v.Size})
			there[v.Key] = true // Once is enough.
		}
	}
	return out, err
}

// Destroy implements backup.Place.
func (b *Bucket) Destroy(ctx context.Context, name string) error {
	key := b.prefix + name
	objects, marks, err := b.versionsOf(ctx, key)
	if unheard(err) {
		return b.destroyUnseen(ctx, key, err)
	}
	if err != nil {
		return err
	}
	if len(objects) == 1 && len(marks) == 0 && (objects[0].ID == none || objects[0].ID == "") {
		// There are no versions yet, and to remove one there may be no permission.
		if err := b.Remove(ctx, name); err != nil {
			return err
		}
		if objects, marks, err = b.versionsOf(ctx, key); err != nil {
			return err
		}
	}
	if len(objects) == 0 { // Marks alone hold nothing.
		return nil
	}
	if err := b.removeVersions(ctx, objects); err != nil {
		return err
	}
	if objects, _, err = b.versionsOf(ctx, key); err != nil {
		return err
	}
	if len(objects) > 0 {
		return versionsStay("it still lists versions that it said to be gone")
	}
	return b.removeVersions(ctx, marks)
}

// destroyUnseen takes away what has no versions as far as the service's answer tells.
func (b *Bucket) destroyUnseen(ctx context.Context, key string, why error) error {
	_, head, err := b.do(ctx, request{method: http.MethodDelete, key: key})
	if err == nil && (head.Get("X-Amz-Delete-Marker") == "true" || head.Get("X-Amz-Version-Id") != "") {
		return versionsStay(answer(why))
	}
	return err
}

func (b *Bucket) removeVersions(ctx context.Context, list []version) error {
	for _, v := range list {
		_, _, err := b.do(ctx, request{method: http.MethodDelete, key: v.Key, query: url.Values{"versionId": {v.ID}}})
		if unheard(err) {
			return versionsStay(answer(err))
		}
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
	}
	return nil
}

// versionsStay says that something lives on, and what to do about it.
func versionsStay(why string) error {
	return fault.New(fault.Denied, "bucket_versions",
		"the bucket keeps versions and does not let them go (%s): permit s3:ListBucketVersions and s3:DeleteObjectVersion, see that no Object Lock holds them, or take a bucket without versioning", why)
}
