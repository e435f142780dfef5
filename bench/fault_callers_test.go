package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// caller is one raw connection to a server.
func (f *faulty) caller(t *testing.T, say string) *bufio.Reader {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(f.address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(40 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(c)
}

// Hundreds of callers that send slowly and some that send huge headers are cut
// off or told so; others are served at once meanwhile.
func TestSlowAndGreedyCallersHoldUpNobody(t *testing.T) {
	t.Parallel()
	const slowly = 300
	f := newFaulty(t, "127.0.0.1:2525")
	f.start()
	head := fmt.Sprintf("POST /v1/track HTTP/1.1\r\nHost: a.example\r\nX-Write-Key: %s\r\n", f.ingest)
	before := f.usage().rss
	began := time.Now()
	var inHead []*bufio.Reader
	for range slowly {
		inHead = append(inHead, f.caller(t, head+"X-Slow: "))
	}
	for range slowly {
		f.caller(t, head+"Content-Length: 1000\r\n\r\n{\"event\":") // 20 s are theirs; see api's own test
	}
	for range 20 {
		r := f.caller(t, head+"X-Huge: "+strings.Repeat("x", 1<<20))
		if line, err := r.ReadString('\n'); err == nil && !strings.Contains(line, " 431 ") {
			t.Errorf("a huge header got %q, want 431 or an end", line)
		}
	}
	var slowest time.Duration
	for i := range 200 {
		at := time.Now()
		f.trigger(fmt.Sprintf("meanwhile%d", i), fmt.Sprintf("p%d@meanwhile.example", i))
		slowest = max(slowest, time.Since(at))
	}
	if slowest > time.Second {
		t.Errorf("another caller waited %s", slowest)
	}
	if grown := f.usage().rss - before; grown > 100<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
	for _, r := range inHead {
		b, err := io.ReadAll(r)
		if len(b) > 0 && !strings.Contains(string(b), " 408 ") && !strings.Contains(string(b), " 400 ") {
			t.Fatalf("half a header got %q %v, want an end", b, err)
		}
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("half headers were ended after %s, want about 5 s", took)
	}
	if status, _, _ := f.ask("GET", "/readyz", ""); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// Bodies that are too large, too deep or unpack to too much are refused
// quickly by the real server, whose memory stays as it is.
func TestHostileBodiesAreRefusedQuickly(t *testing.T) {
	t.Parallel()
	onBothStores(t, hostileBodiesAreRefusedQuickly)
}

func hostileBodiesAreRefusedQuickly(t *testing.T, database string) {
	t.Helper()
	f := newFaulty(t, "127.0.0.1:2525")
	f.database = database
	f.start()
	bomb := gzipped(t, 200<<20)
	f.trigger("first", "first@hostile.example")
	before := f.usage().rss
	for _, tt := range []struct {
		name, body string
		header     []string
		status     []int
	}{
		{"10 MB", `{"event":"` + strings.Repeat("x", 10<<20) + `"}`, nil, []int{413}},
		{"a bomb", bomb, []string{"Content-Encoding", "gzip"}, []int{413}},
		{"100,000 levels", strings.Repeat(`{"a":`, 100_000), nil, []int{400, 413}},
		{"a million keys", `{"event":"A","userId":"u","properties":{` + strings.Repeat(`"k":1,`, 1_000_000) + `"z":1}}`, nil, []int{413}},
		{"no number", `{"event":"A","userId":"u","properties":{"v":NaN}}`, nil, []int{400}},
	} {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				began := time.Now()
				status, _, answer, err := f.tryAsk("POST", "/v1/track?strict=true", tt.body, tt.header...)
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("%s: took %s", tt.name, took)
				}
				if err != nil { // the server may have closed before all was sent
					return
				}
				for _, s := range tt.status {
					if s == status {
						return
					}
				}
				t.Errorf("%s: status %d %.200s, want %v", tt.name, status, answer, tt.status)
			})
		}
		group.Wait()
		http.DefaultClient.CloseIdleConnections()
	}
	if grown := f.usage().rss - before; grown > 100<<20 {
		t.Errorf("memory grew by %d MB", grown>>20)
	}
	f.trigger("last", "last@hostile.example")
}

// gzipped packs so many blanks.
func gzipped(t *testing.T, n int) string {
	t.Helper()
	var out strings.Builder
	w := gzip.NewWriter(&out)
	for range n >> 20 {
		if _, err := w.Write(bytes.Repeat([]byte{' '}, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
