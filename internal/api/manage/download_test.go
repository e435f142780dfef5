package manage_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rapport/internal/api/manage"
	"rapport/internal/explain"
)

// stopping is a reader that fails in the middle of somebody's mails.
type stopping struct{ manage.Reader }

func (stopping) EachMail(context.Context, *explain.Dossier, func(*explain.MailStory) error) error {
	return errors.New("the disk is gone")
}

// TestADownloadIsWholeOrBroken has downloads fail after they have begun: whoever reads
// them hears of it, and does not take a part for the whole.
func TestADownloadIsWholeOrBroken(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.ann()
	h.config.Machine = time.Now // by which the server's deadlines run
	h.config.Backup = func(_ context.Context, w io.Writer) error {
		_, err := w.Write(make([]byte, 1<<16))
		return errors.Join(err, errors.New("the disk is gone"))
	}
	read := func(path, accept string) error {
		t.Helper()
		server := httptest.NewServer(h.door)
		defer server.Close()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		h.must(err)
		req.Header.Set("Authorization", "Bearer "+h.secret)
		req.Header.Set("Accept", accept)
		res, err := server.Client().Do(req)
		if err != nil {
			return err
		}
		defer func() { h.must(res.Body.Close()) }()
		raw, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, res.StatusCode, raw)
		}
		return err
	}
	const ann = "/v1/people/user_id:42/export"
	h.knock()
	for _, accept := range []string{"application/json", "text/html"} {
		h.must(read(ann, accept))
	}
	h.config.Reader = stopping{h.reader}
	h.knock()
	for path, accept := range map[string]string{ann: "application/json", ann + "#": "text/html", "/v1/backup": "application/x-tar"} {
		if err := read(strings.TrimSuffix(path, "#"), accept); err == nil {
			t.Errorf("%s as %s fails on the way and looks whole", path, accept)
		}
	}
}
