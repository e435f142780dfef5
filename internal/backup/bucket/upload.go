package bucket

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"rapport/internal/fault"
)

// Put implements backup.Place. What fits into one part goes as it is; more goes in
// parts that count only once the last is there.
func (b *Bucket) Put(ctx context.Context, name string, fn func(io.Writer) error) (err error) {
	key := b.prefix + name
	switch _, _, err := b.do(ctx, request{method: http.MethodHead, key: key}); {
	case err == nil:
		return fault.New(fault.Conflict, "backup_there", "the bucket has %s already: name another, so that no backup is lost", name)
	case fault.KindOf(err) != fault.NotFound:
		return err
	}
	u := &upload{ctx: ctx, b: b, key: key}
	defer func() {
		if err != nil {
			err = errors.Join(err, u.abort())
		}
	}()
	if err := fn(u); err != nil {
		return err
	}
	return u.complete()
}

// upload is one copy on its way.
type upload struct {
	ctx   context.Context //nolint:containedctx // An upload lives within one call.
	b     *Bucket
	key   string
	buf   bytes.Buffer
	id    string // of the service; "" until a second part is needed
	parts []part
	size  int64 // of the parts
}

type part struct {
	Number int    `xml:"PartNumber"`
	ETag   string `xml:"ETag"`
}

// maxParts is how many parts an upload has at most, as the protocol bounds them. They
// grow on the way, from 8 to 168 MiB, so that 860 GiB go in while a part stays small
// enough to be held in memory.
const maxParts = 10_000

func (u *upload) partSize() int { return u.b.c.PartSize * (1 + len(u.parts)/500) }

// Write implements io.Writer.
func (u *upload) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), u.partSize()-u.buf.Len())
		u.buf.Write(p[:k])
		p, n = p[k:], n+k
		if u.buf.Len() < u.partSize() {
			continue
		}
		if err := u.send(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// send uploads what is collected as the next part.
func (u *upload) send() error {
	if u.id == "" {
		raw, _, err := u.b.do(u.ctx, request{method: http.MethodPost, key: u.key, query: url.Values{"uploads": {""}}})
		if err != nil {
			return fmt.Errorf("begin an upload: %w", err)
		}
		var begun struct {
			ID string `xml:"UploadId"`
		}
		if err := xml.Unmarshal(raw, &begun); err != nil || begun.ID == "" {
			return fault.New(fault.Unavailable, "bucket_failed", "the bucket began no upload; try again")
		}
		u.id = begun.ID
	}
	n := len(u.parts) + 1
	if n > maxParts {
		return fault.New(fault.Limited, "backup_too_large", "the backup is larger than the 860 GiB that go into one object: back up to a folder")
	}
	_, head, err := u.b.do(u.ctx, request{
		method: http.MethodPut, key: u.key, body: u.buf.Bytes(),
		query: url.Values{"partNumber": {strconv.Itoa(n)}, "uploadId": {u.id}},
	})
	if err != nil {
		return fmt.Errorf("upload part %d: %w", n, err)
	}
	u.parts = append(u.parts, part{Number: n, ETag: head.Get("ETag")})
	u.size += int64(u.buf.Len())
	u.buf.Reset()
	return nil
}

// complete has the object be there.
func (u *upload) complete() error {
	if u.id == "" {
		_, _, err := u.b.do(u.ctx, request{method: http.MethodPut, key: u.key, body: u.buf.Bytes()})
		return err
	}
	if u.buf.Len() > 0 {
		if err := u.send(); err != nil {
			return err
		}
	}
	body, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Parts   []part   `xml:"Part"`
	}{Parts: u.parts})
	if err != nil {
		return err
	}
	raw, _, err := u.b.do(u.ctx, request{method: http.MethodPost, key: u.key, query: url.Values{"uploadId": {u.id}}, body: body})
	var done struct{ XMLName xml.Name }
	if err == nil && (xml.Unmarshal(raw, &done) != nil || done.XMLName.Local != "CompleteMultipartUploadResult") { // A failure may come as 200.
		err = fault.New(fault.Unavailable, "bucket_failed", "the bucket did not end the upload; try again")
	}
	if err != nil && !u.there() {
		return fmt.Errorf("end an upload: %w", err)
	}
	u.id = ""
	return nil
}

// there tells whether the object is there whole: an answer that failed, or was lost, may
// be one to an upload that the service did end, and knows no more when it is asked again.
func (u *upload) there() bool {
	_, head, err := u.b.do(u.ctx, request{method: http.MethodHead, key: u.key})
	if err != nil {
		return false
	}
	size, err := strconv.ParseInt(head.Get("Content-Length"), 10, 64)
	return err == nil && size == u.size
}

// abort takes back what came, also where the caller has given up.
func (u *upload) abort() error {
	if u.id == "" {
		return nil
	}
	_, _, err := u.b.do(context.WithoutCancel(u.ctx), request{method: http.MethodDelete, key: u.key, query: url.Values{"uploadId": {u.id}}})
	if err != nil && fault.KindOf(err) != fault.NotFound { // The service has given it up already.
		return fmt.Errorf("take back an upload: %w", err)
	}
	return nil
}
