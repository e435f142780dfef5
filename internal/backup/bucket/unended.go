package bucket

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rapport/internal/fault"
)

// Abandon implements backup.Place: of uploads the service tells when they were begun.
func (b *Bucket) Abandon(ctx context.Context, since time.Time, ours func(name string) bool) (gone []string, err error) {
	q := url.Values{"uploads": {""}, "prefix": {b.prefix}}
	for {
		raw, _, err := b.do(ctx, request{method: http.MethodGet, query: q})
		if unheard(err) {
			return gone, fault.Wrap(err, fault.Denied, "bucket_uploads",
				"uploads that were never ended are not listed to us (%s): permit s3:ListBucketMultipartUploads, or have a rule of the bucket end them (AbortIncompleteMultipartUpload)", answer(err))
		}
		if err != nil {
			return gone, err
		}
		var page struct {
			Uploads []struct {
				Key       string
				ID        string `xml:"UploadId"`
				Initiated time.Time
			} `xml:"Upload"`
			More bool   `xml:"IsTruncated"`
			Key  string `xml:"NextKeyMarker"`
			ID   string `xml:"NextUploadIdMarker"`
		}
		if err := xml.Unmarshal(raw, &page); err != nil {
			return gone, fmt.Errorf("read the bucket's answer: %w", err)
		}
		for _, x := range page.Uploads {
			name, is := strings.CutPrefix(x.Key, b.prefix)
			if !is || !ours(name) || !x.Initiated.Before(since) {
				continue
			}
			u := upload{ctx: ctx, b: b, key: x.Key, id: x.ID}
			if err := u.abort(); err != nil {
				return gone, err
			}
			gone = append(gone, name)
		}
		if !page.More || page.Key == "" {
			return gone, nil
		}
		q.Set("key-marker", page.Key)
		q.Set("upload-id-marker", page.ID)
	}
}
