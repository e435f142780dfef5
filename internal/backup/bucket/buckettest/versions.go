package buckettest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Versioning says what becomes of what is written over or deleted.
type Versioning int

// The states that a bucket's versioning has.
const (
	Never     Versioning = iota
	Enabled              // each is kept, and a deletion is a mark
	Suspended            // those are kept that were before; what is written now has the id null
)

// version is one of an object, or a mark that it was deleted.
type version struct {
	key, id string
	body    []byte
	mark    bool
}

// Keep sets the bucket's versioning.
func (s *Service) Keep(v Versioning) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keeps = v
}

// Versions counts the objects that can be read, also as a former version, and the marks.
func (s *Service) Versions() (objects, marks int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.kept {
		if v.mark {
			marks++
		} else {
			objects++
		}
	}
	return objects, marks
}

func (s *Service) put(key string, body []byte) { s.add(version{key: key, body: body}) }

// remove deletes an object as the bucket's versioning has it.
func (s *Service) remove(head http.Header, key string) {
	if s.keeps == Never {
		s.removeVersion(key, "null")
		return
	}
	v := s.add(version{key: key, mark: true})
	head.Set("X-Amz-Delete-Marker", "true")
	head.Set("X-Amz-Version-Id", v.id)
}

// add puts a version on top.
func (s *Service) add(v version) version {
	v.id = "null"
	if s.keeps == Enabled {
		s.number++
		v.id = "v" + strconv.Itoa(s.number)
	} else {
		s.removeVersion(v.key, v.id)
	}
	s.kept = append(s.kept, v)
	s.look(v.key)
	return v
}

func (s *Service) removeVersion(key, id string) {
	s.kept = slices.DeleteFunc(s.kept, func(v version) bool { return v.key == key && v.id == id })
	s.look(key)
}

// look sets what an object is now.
func (s *Service) look(key string) {
	delete(s.objects, key)
	for _, v := range s.kept {
		if v.key != key {
			continue
		}
		if delete(s.objects, key); !v.mark {
			s.objects[key] = append([]byte{}, v.body...) // Also an empty one is there.
		}
	}
}

// listVersions gives two at a time: by key, the newest first.
func (s *Service) listVersions(w http.ResponseWriter, q url.Values) {
	list := slices.Clone(s.kept)
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b version) int { return strings.Compare(a.key, b.key) })
	latest := map[int]bool{}
	for i := range list {
		latest[i] = i == 0 || list[i-1].key != list[i].key
	}
	from := 0
	if after := q.Get("key-marker"); after != "" {
		from = 1 + slices.IndexFunc(list, func(v version) bool { return v.key == after && v.id == q.Get("version-id-marker") })
	}
	var page []int
	for i := from; i < len(list); i++ {
		if strings.HasPrefix(list[i].key, q.Get("prefix")) {
			page = append(page, i)
		}
	}
	more := len(page) > 2
	page = page[:min(len(page), 2)]
	_, _ = fmt.Fprintf(w, "<ListVersionsResult><IsTruncated>%t</IsTruncated>", more)
	for _, i := range page {
		v, kind := list[i], "Version"
		if v.mark {
			kind = "DeleteMarker"
		}
		_, _ = fmt.Fprintf(w, "<%s><Key>%s</Key><VersionId>%s</VersionId><IsLatest>%t</IsLatest><Size>%d</Size></%s>", kind, v.key, v.id, latest[i], len(v.body), kind)
	}
	if more {
		last := list[page[1]]
		_, _ = fmt.Fprintf(w, "<NextKeyMarker>%s</NextKeyMarker><NextVersionIdMarker>%s</NextVersionIdMarker>", last.key, last.id)
	}
	_, _ = io.WriteString(w, "</ListVersionsResult>")
}

// listUploads gives one at a time of those that did not end.
func (s *Service) listUploads(w http.ResponseWriter, q url.Values) {
	var ids []string
	for id, u := range s.uploads {
		if strings.HasPrefix(u.key, q.Get("prefix")) && id > q.Get("upload-id-marker") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	_, _ = fmt.Fprintf(w, "<ListMultipartUploadsResult><IsTruncated>%t</IsTruncated>", len(ids) > 1)
	if len(ids) > 0 {
		u := s.uploads[ids[0]]
		_, _ = fmt.Fprintf(w, "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>", u.key, ids[0], u.begun.UTC().Format("2006-01-02T15:04:05.000Z"))
		_, _ = fmt.Fprintf(w, "<NextKeyMarker>%s</NextKeyMarker><NextUploadIdMarker>%s</NextUploadIdMarker>", u.key, ids[0])
	}
	_, _ = io.WriteString(w, "</ListMultipartUploadsResult>")
}
