package collect_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rapport/internal/api"
	"rapport/internal/api/collect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endless gives the same byte for ever.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// TestMemoryStaysFlat is fault 16: however much is sent or unpacks, little is
// held. It runs alone, so that what is allocated is its own doing.
func TestMemoryStaysFlat(t *testing.T) { //nolint:paralleltest // It measures allocation.
	b := setup(t)
	bomb := packed(strings.Repeat(" ", 100<<20))
	keys := `{"batch":[{"type":"page","userId":"u","properties":{` + strings.Repeat(`"a":1,`, 5000) + `"b":1}}]}`
	send := func(change func(*http.Request)) int {
		req := httptest.NewRequest(http.MethodPost, "/v1/batch", endless('['))
		req.ContentLength = -1
		req.Header.Set("X-Write-Key", serverKey)
		change(req)
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, req)
		return w.Code
	}
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"a body without end", func(*http.Request) {}, 413},
		{"a huge Content-Length", func(r *http.Request) { r.ContentLength = 1 << 40 }, 413},
		{"a bomb of 100 MB", func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(bomb))
			r.ContentLength = int64(len(bomb))
			r.Header.Set("Content-Encoding", "gzip")
		}, 413},
		{"too many keys", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(keys)) }, 200},
		{"500,000 levels", func(r *http.Request) { r.Body = io.NopCloser(io.LimitReader(endless('['), 500_000)) }, 400},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		const times = 20
		for range times {
			if got := send(tt.change); got != tt.status {
				t.Fatalf("%s: status %d, want %d", tt.name, got, tt.status)
			}
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 2<<20 {
			t.Errorf("%s: %d bytes allocated each", tt.name, each)
		}
	}
}

// server runs the door behind the server that the house uses.
func server(t testing.TB, h http.Handler, read time.Duration) string {
	t.Helper()
	srv := api.NewServer(api.ServerConfig{Handler: h, Read: read})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return l.Addr().String()
}

func TestSlowBodyIsToldSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	addr := server(t, b.handler, 300*time.Millisecond)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "POST /v1/page HTTP/1.1\r\nHost: a.example\r\nX-Write-Key: %s\r\nContent-Length: 100\r\n\r\n{\"userId\"", serverKey)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(answer), `"body_too_slow"`) || len(b.log.events(t)) != 0 {
		t.Errorf("got %d %s", res.StatusCode, answer)
	}
}

// TestWaitOutlivesTheReadDeadline waits for the walk longer than a request may
// take to arrive.
func TestWaitOutlivesTheReadDeadline(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *collect.Config) { c.Waiter = walk{} })
	addr := server(t, b.handler, 200*time.Millisecond)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/v1/page?wait=processed&timeout=700ms", strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Write-Key", serverKey)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	began := time.Now()
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if took := time.Since(began); err != nil || res.StatusCode != 200 || !strings.Contains(string(answer), `"processed":false`) || took < 700*time.Millisecond {
		t.Errorf("got %d %s after %v, %v", res.StatusCode, answer, took, err)
	}
}

func TestChunkedBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	addr := server(t, b.handler, 0)
	for _, body := range []string{page, packed(page)} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/v1/page", io.MultiReader(strings.NewReader(body[:7]), strings.NewReader(body[7:])))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Write-Key", serverKey)
		if body != page {
			req.Header.Set("Content-Encoding", "gzip")
		}
		transport := &http.Transport{}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		transport.CloseIdleConnections()
		if res.StatusCode != 200 || string(answer) != ok {
			t.Errorf("got %d %s", res.StatusCode, answer)
		}
	}
	if n := len(b.log.events(t)); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

// FuzzCollect sends any bytes on any path with any way to carry a key.
func FuzzCollect(f *testing.F) {
	f.Add("/v1/track", "", "Basic "+base64.StdEncoding.EncodeToString([]byte(serverKey)), "", []byte(`{"event":"A","userId":"u"}`))
	f.Add("/v1/b", "writeKey="+browserKey, "", "gzip", []byte(packed(page)))
	f.Add("/v1/import/", "strict=true&wait=processed&timeout=0", "Bearer x", "", []byte(`{"batch":[{}],"writeKey":"`+serverKey+`"}`))
	f.Add("/v1/m", "%zz", "Basic", "identity", []byte{0x1f, 0x8b, 0})
	f.Add("/v1/projects/x/settings", "", "", "", []byte{})
	f.Fuzz(func(t *testing.T, path, query, auth, encoding string, body []byte) {
		b := setup(t)
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		req.URL.Path, req.URL.RawQuery = path, query
		req.Header["Authorization"], req.Header["Content-Encoding"] = []string{auth}, []string{encoding}
		h, err := collect.New(b.config)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		answer := w.Body.String()
		switch {
		case w.Code == 200 && !strings.HasPrefix(answer, `{"success":true`):
			t.Fatalf("%d %s", w.Code, answer)
		case w.Code != 200 && (!strings.HasPrefix(answer, `{"success":false`) || w.Code >= 500 || len(b.log.records) != 0):
			t.Fatalf("%d %s, %d records", w.Code, answer, len(b.log.records))
		}
	})
}
