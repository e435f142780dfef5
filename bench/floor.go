package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// floors measures what the machine itself costs: a bare net/http echo of the
// same body, append and fdatasync, and a bare SMTP client to the sink.
func floors(ctx context.Context, b *run) ([]Result, error) {
	var out []Result
	for _, f := range []func(context.Context, *run) (Result, error){echo, syncFloor, smtpFloor} {
		r, err := f(ctx, b)
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
	return out, nil
}

func echo(ctx context.Context, b *run) (Result, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return Result{}, err
	}
	answer := []byte(`{"success":true}`)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // The client is ours.
		_, _ = w.Write(answer)
	})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	defer func() {
		_ = srv.Close()
		<-done
	}()
	var serial atomic.Int64
	s := &server{address: "http://" + l.Addr().String()}
	load, err := s.flood(ctx, 64, "/", "x", b.Duration/2, func(i int) func() ([]byte, int) {
		w := newWriter(uint64(i), 1000, &serial)
		return func() ([]byte, int) { w.buf = w.event(w.buf[:0], false, false); return w.buf, 1 }
	})
	if err != nil {
		return Result{}, err
	}
	return load.result("floor: net/http echo, 64 connections"), nil
}

func syncFloor(ctx context.Context, b *run) (Result, error) {
	f, err := b.scratch("floor")
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = f.Close() }()
	body := make([]byte, 700)
	var samples []time.Duration
	began := time.Now()
	for time.Since(began) < b.Duration/4 && ctx.Err() == nil {
		at := time.Now()
		if _, err := f.Write(body); err != nil {
			return Result{}, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return Result{}, err
		}
		samples = append(samples, time.Since(at))
	}
	l := &load{samples: samples, items: int64(len(samples)), took: time.Since(began)}
	return l.result("floor: append 700 B + fdatasync"), nil
}

func smtpFloor(ctx context.Context, b *run) (Result, error) {
	s, err := newSink()
	if err != nil {
		return Result{}, err
	}
	defer s.close()
	c, err := net.Dial("tcp", s.address())
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	talk := func(line string, replies int) error {
		if _, err := io.WriteString(c, line); err != nil {
			return err
		}
		for range replies {
			if _, err := r.ReadString('\n'); err != nil {
				return err
			}
		}
		return nil
	}
	if err := talk("", 1); err != nil {
		return Result{}, err
	}
	if err := talk("EHLO floor.example\r\n", 5); err != nil {
		return Result{}, err
	}
	body := "Subject: floor 1\r\nFrom: a@shop.example\r\nTo: b@shop.example\r\n\r\n" + strings.Repeat("a line of the mail's body, seventy characters and a few more of them\r\n", 20) + ".\r\n"
	var samples []time.Duration
	began := time.Now()
	for time.Since(began) < b.Duration/4 && ctx.Err() == nil {
		at := time.Now()
		if err := talk("MAIL FROM:<a@shop.example>\r\nRCPT TO:<b@shop.example>\r\nDATA\r\n", 3); err != nil {
			return Result{}, fmt.Errorf("talk to the sink: %w", err)
		}
		if err := talk(body, 1); err != nil {
			return Result{}, fmt.Errorf("talk to the sink: %w", err)
		}
		samples = append(samples, time.Since(at))
	}
	l := &load{samples: samples, items: int64(len(samples)), took: time.Since(began)}
	return l.result("floor: bare SMTP client to the sink"), nil
}
