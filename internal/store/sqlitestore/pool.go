package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"rapport/internal/fault"
)

// pool lends reading connections, at most so many at once. They are opened
// when they are first needed.
type pool struct {
	config connConfig
	slots  chan struct{} // a token for each connection that may be lent

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

func newPool(c connConfig, size int) *pool {
	c.readonly = true
	p := &pool{config: c, slots: make(chan struct{}, size)}
	for range size {
		p.slots <- struct{}{}
	}
	return p
}

// with runs fn on a connection of its own. When ctx ends, what runs in it ends too.
func (p *pool) with(ctx context.Context, fn func(*conn) error) error {
	select {
	case <-p.slots:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { p.slots <- struct{}{} }()
	c, err := p.take()
	if err != nil {
		return err
	}
	defer p.give(c)
	c.db.SetInterrupt(ctx)
	err = fn(c)
	c.db.SetInterrupt(context.Background())
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return ctx.Err()
	}
	return err
}

func (p *pool) take() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed(p.config.file)
	}
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return c, nil
	}
	c, err := openConn(p.config)
	if err != nil {
		return nil, fmt.Errorf("open a reader: %w", err)
	}
	return c, nil
}

func (p *pool) give(c *conn) {
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
}

// close waits for those who still read, then closes all connections.
func (p *pool) close() error {
	p.mu.Lock()
	was := p.closed
	p.closed = true
	p.mu.Unlock()
	if was {
		return nil
	}
	for range cap(p.slots) {
		<-p.slots
	}
	defer func() {
		for range cap(p.slots) {
			p.slots <- struct{}{}
		}
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, c := range p.idle {
		errs = append(errs, c.close())
	}
	p.idle = nil
	return errors.Join(errs...)
}

func errClosed(file string) error {
	return fault.New(fault.Unavailable, "store_closed", "%s is closed", file)
}
