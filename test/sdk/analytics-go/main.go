// Command sdktest speaks to a running Rapport through the Segment SDK for Go.
// It is told where by RAPPORT_URL and RAPPORT_KEY, and how many tracks to send
// by RAPPORT_TRACKS; it ends with 0 once the SDK has given up or delivered all.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/segmentio/analytics-go/v3"
)

// outcome counts what the SDK says of each message, and tells when it has
// spoken of all: a client that is closed before no longer tries again.
type outcome struct {
	delivered, failed, left atomic.Int64
	all                     chan struct{}
}

func (o *outcome) Success(analytics.Message) { o.done(&o.delivered) }

func (o *outcome) Failure(analytics.Message, error) { o.done(&o.failed) }

func (o *outcome) done(n *atomic.Int64) {
	n.Add(1)
	if o.left.Add(-1) == 0 {
		close(o.all)
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	tracks, err := strconv.Atoi(os.Getenv("RAPPORT_TRACKS"))
	if err != nil {
		return err
	}
	o := outcome{all: make(chan struct{})}
	client, err := analytics.NewWithConfig(os.Getenv("RAPPORT_KEY"), analytics.Config{
		Endpoint: os.Getenv("RAPPORT_URL"), Callback: &o, BatchSize: 100, Interval: 200 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	user := os.Getenv("RAPPORT_USER")
	messages := []analytics.Message{
		analytics.Track{AnonymousId: user + "-before", Event: "Product Viewed", Properties: analytics.NewProperties().Set("first", true)},
		analytics.Alias{PreviousId: user + "-before", UserId: user},
		analytics.Identify{UserId: user, Traits: analytics.NewTraits().SetEmail(user+"@Mail.Example").SetFirstName("Grace").Set("plan", "pro").Set("age", 36)},
		analytics.Page{UserId: user, Name: "Home", Properties: analytics.NewProperties().SetURL("https://shop.example/")},
		analytics.Screen{UserId: user, Name: "Start"},
		analytics.Group{UserId: user, GroupId: "firm-1", Traits: analytics.NewTraits().SetName("Firm")},
	}
	for i := range tracks {
		messages = append(messages, analytics.Track{
			UserId: user, Event: "Order Completed", Properties: analytics.NewProperties().SetRevenue(9.5).Set("n", i),
		})
	}
	o.left.Store(int64(len(messages)))
	for _, m := range messages {
		if err := client.Enqueue(m); err != nil {
			return err
		}
	}
	select {
	case <-o.all:
	case <-time.After(time.Minute):
		return fmt.Errorf("after a minute %d messages are not delivered", o.left.Load())
	}
	if err := client.Close(); err != nil {
		return err
	}
	fmt.Printf("delivered %d, failed %d of %d\n", o.delivered.Load(), o.failed.Load(), len(messages))
	if o.delivered.Load() != int64(len(messages)) {
		return fmt.Errorf("the SDK gave up on %d messages", o.failed.Load())
	}
	return nil
}
