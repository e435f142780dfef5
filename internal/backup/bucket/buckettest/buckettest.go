// Package buckettest is a stand-in for a service that speaks the protocol of Amazon S3:
// it makes each signature anew and compares, takes uploads in parts, keeps versions where
// it is asked to, and lists a page at a time. What comes in are requests; what goes out are answers as the service gives them.
// It keeps everything in memory and is for tests.
package buckettest

import (
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Of the one bucket that there is.
const (
	Name      = "copies"
	Region    = "eu-central-1"
	AccessKey = "AKIDEXAMPLE"
	Secret    = "a secret of the bucket"
	Session   = "a session of the bucket" // what temporary keys come with; none is fine too
)

// Service is a stand-in for S3.
type Service struct {
	mu      sync.Mutex
	objects map[string][]byte // as they are now
	kept    []version         // the oldest first; of all objects, also where no versions are kept
	uploads map[string]*upload
	number  int
	now     func() time.Time
	fail    int
	lose    int
	keeps   Versioning
	denied  map[string]int
}

// upload is one that was begun.
type upload struct {
	key   string
	begun time.Time
	parts map[int][]byte
}

// New makes a service with the bucket that is empty, which keeps no versions, and a clock.
func New(now func() time.Time) *Service {
	return &Service{objects: map[string][]byte{}, uploads: map[string]*upload{}, now: now, denied: map[string]int{}}
}

// Lose has so many uploads be ended and answered 500 all the same.
func (s *Service) Lose(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = n
}

// Deny has the service answer an action, by the name that it has in a policy, with a
// status: 403 where it is not permitted, 501 where the service does not know it.
func (s *Service) Deny(action string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied[action] = status
}

// At sets the service's clock.
func (s *Service) At(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = func() time.Time { return now }
}

// Fail has so many requests answered 503.
func (s *Service) Fail(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = n
}

// Left counts objects, and uploads that were begun and did not end.
func (s *Service) Left() (objects, uploads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.objects), len(s.uploads)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

// ServeHTTP answers one request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if code := refused(r, body); code == "PermanentRedirect" {
		w.Header().Set("Location", "https://elsewhere.example/")
		refuse(w, http.StatusMovedPermanently, code)
		return
	} else if code != "" {
		refuse(w, http.StatusForbidden, code)
		return
	}
	if s.fail > 0 {
		s.fail--
		refuse(w, http.StatusServiceUnavailable, "SlowDown")
		return
	}
	key, ok := strings.CutPrefix(r.URL.Path, "/"+Name)
	if !ok {
		refuse(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	key = strings.TrimPrefix(key, "/")
	if status := s.denied[action(r, key)]; status != 0 {
		refuse(w, status, map[int]string{http.StatusForbidden: "AccessDenied", http.StatusNotImplemented: "NotImplemented"}[status])
		return
	}
	s.object(w, r, key, body)
}

// action names what is asked for as a policy does, if something is denied by it.
func action(r *http.Request, key string) string {
	q := r.URL.Query()
	switch {
	case key == "" && q.Has("versions"):
		return "s3:ListBucketVersions"
	case key == "" && q.Has("uploads"):
		return "s3:ListBucketMultipartUploads"
	case r.Method == http.MethodDelete && q.Has("versionId"):
		return "s3:DeleteObjectVersion"
	}
	return ""
}

func (s *Service) object(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	q := r.URL.Query()
	id := q.Get("uploadId")
	switch {
	case key == "" && q.Has("versions"):
		s.listVersions(w, q)
	case key == "" && q.Has("uploads"):
		s.listUploads(w, q)
	case key == "":
		s.list(w, q.Get("prefix"), q.Get("continuation-token"))
	case r.Method == http.MethodPost && q.Has("uploads"):
		s.number++
		id = strconv.Itoa(s.number)
		s.uploads[id] = &upload{key: key, begun: s.now(), parts: map[int][]byte{}}
		_, _ = fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case id != "" && s.uploads[id] == nil:
		refuse(w, http.StatusNotFound, "NoSuchUpload")
	case r.Method == http.MethodPut && id != "":
		n, _ := strconv.Atoi(q.Get("partNumber"))
		s.uploads[id].parts[n] = body
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(body)))
	case r.Method == http.MethodPost:
		s.complete(w, key, id, body)
	case r.Method == http.MethodDelete && id != "":
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		s.put(key, body)
	case r.Method == http.MethodDelete && q.Has("versionId"):
		s.removeVersion(key, q.Get("versionId"))
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		s.remove(w.Header(), key)
		w.WriteHeader(http.StatusNoContent)
	case s.objects[key] == nil:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(s.objects[key])))
		_, _ = w.Write(s.objects[key])
	}
}

func (s *Service) complete(w http.ResponseWriter, key, id string, body []byte) {
	var in struct {
		Parts []struct {
			PartNumber int
			ETag       string
		} `xml:"Part"`
	}
	if err := xml.Unmarshal(body, &in); err != nil || len(in.Parts) != len(s.uploads[id].parts) {
		refuse(w, http.StatusBadRequest, "InvalidPart")
		return
	}
	var whole []byte
	for i, p := range in.Parts {
		if p.PartNumber != i+1 || p.ETag != fmt.Sprintf(`"%x"`, sha256.Sum256(s.uploads[id].parts[p.PartNumber])) {
			refuse(w, http.StatusBadRequest, "InvalidPart")
			return
		}
		whole = append(whole, s.uploads[id].parts[p.PartNumber]...)
	}
	s.put(key, whole)
	delete(s.uploads, id)
	if s.lose > 0 {
		s.lose--
		refuse(w, http.StatusInternalServerError, "InternalError")
		return
	}
	_, _ = io.WriteString(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
}

// list gives two at a time, so that whoever asks must go on.
func (s *Service) list(w http.ResponseWriter, prefix, after string) {
	var keys []string
	for k := range s.objects {
		if strings.HasPrefix(k, prefix) && k > after {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	more := len(keys) > 2
	keys = keys[:min(len(keys), 2)]
	_, _ = fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated>", more)
	for _, k := range keys {
		_, _ = fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size></Contents>", k, len(s.objects[k]))
	}
	if more {
		_, _ = fmt.Fprintf(w, "<NextContinuationToken>%s</NextContinuationToken>", keys[len(keys)-1])
	}
	_, _ = io.WriteString(w, "</ListBucketResult>")
}
