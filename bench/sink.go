package bench

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"sync"
	"time"
)

// sink is the least that can be called an SMTP server: it takes every mail,
// notes when its last line came and which reference its subject bears, and
// forgets it.
type sink struct {
	l     net.Listener
	group sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	at    map[string]time.Time // when a reference's mail came last
	times map[string]int       // how often it came
	began map[string]time.Time // when its DATA began, the last time
	leave map[string]string    // its List-Unsubscribe address
	count int64
	seen  chan struct{} // closed and replaced when something came
}

func newSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{l: l, conns: map[net.Conn]struct{}{}, at: map[string]time.Time{}, times: map[string]int{}, began: map[string]time.Time{}, leave: map[string]string{}, seen: make(chan struct{})}
	s.group.Go(s.accept)
	return s, nil
}

func (s *sink) address() string { return s.l.Addr().String() }

func (s *sink) close() {
	_ = s.l.Close() // Ends accept.
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.group.Wait()
}

func (s *sink) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.group.Go(func() {
			s.talk(c)
			_ = c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

var subject, unsubscribe = []byte("Subject: "), []byte("List-Unsubscribe: ")

// talk speaks with one client, PIPELINING included: answers are flushed when
// nothing more waits to be read.
func (s *sink) talk(c net.Conn) {
	r, w := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 4<<10)
	say := func(line string) bool {
		_, _ = w.WriteString(line + "\r\n") // bufio keeps the error for Flush.
		return r.Buffered() > 0 || w.Flush() == nil
	}
	if !say("220 sink.example ESMTP") {
		return
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(string(line[:min(4, len(line))]))
		switch verb {
		case "EHLO", "HELO":
			_, _ = w.WriteString("250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n")
			if !say("250 SIZE 50000000") {
				return
			}
		case "DATA":
			if !say("354 go on") || w.Flush() != nil || !s.data(r) || !say("250 taken") {
				return
			}
		case "QUIT":
			_ = say("221 bye")
			return
		default:
			if !say("250 ok") {
				return
			}
		}
	}
}

func (s *sink) data(r *bufio.Reader) bool {
	ref, leave, began := "", "", time.Now()
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(line) == 3 && line[0] == '.' {
			break
		}
		if ref == "" && bytes.HasPrefix(line, subject) {
			words := strings.Fields(string(line))
			ref = words[len(words)-1]
		}
		if leave == "" && bytes.HasPrefix(line, unsubscribe) {
			_, rest, _ := strings.Cut(string(line), "<")
			leave, _, _ = strings.Cut(rest, ">")
		}
	}
	now := time.Now()
	s.mu.Lock()
	s.at[ref] = now
	s.times[ref]++
	s.began[ref], s.leave[ref] = began, leave
	s.count++
	close(s.seen)
	s.seen = make(chan struct{})
	s.mu.Unlock()
	return true
}

// arrived gives when a reference's mail came.
func (s *sink) arrived(ref string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.at[ref]
	return at, ok
}

// wait returns once so many mails have come, or after a time.
func (s *sink) wait(n int64, most time.Duration) int64 {
	deadline := time.After(most)
	for {
		s.mu.Lock()
		count, seen := s.count, s.seen
		s.mu.Unlock()
		if count >= n {
			return count
		}
		select {
		case <-seen:
		case <-deadline:
			return count
		}
	}
}

func (s *sink) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.times, s.count = map[string]time.Time{}, map[string]int{}, 0
	s.began, s.leave = map[string]time.Time{}, map[string]string{}
}
