package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"rapport/internal/explain"
)

type asidesAnswer struct {
	SetAside []explain.Aside `json:"set_aside"`
	Cursor   string          `json:"cursor"`
}

// listAsides lists what was taken and could not be walked.
func (c *console) listAsides(ctx context.Context, cursor string, limit int) error {
	return show(ctx, c, path("set-aside"), map[string]string{"cursor": cursor, "limit": strconv.Itoa(limit)}, func(a asidesAnswer) {
		var rows [][]string
		for i := range a.SetAside {
			x := &a.SetAside[i]
			rows = append(rows, []string{asideID(x), c.time(x.At), x.Source, clean(x.Type), clean(x.Name), clean(x.MessageID), x.Code, clean(x.Error), sentAgain(c, x.Sent)})
		}
		c.table([]string{"ID", "AT", "SOURCE", "TYPE", "NAME", "MESSAGE", "CODE", "WHAT WENT WRONG", ""}, rows)
		c.older(a.Cursor)
	})
}

// showAside shows one of them with its event.
func (c *console) showAside(ctx context.Context, lane, position string, bare bool) error {
	return show(ctx, c, path("set-aside", lane, position), nil, func(x explain.Aside) {
		if bare {
			c.printf("%s\n", x.Payload)
			return
		}
		c.pairs([2]string{"id", asideID(&x)}, [2]string{"at", c.time(x.At)}, [2]string{"source", x.Source}, [2]string{"type", clean(x.Type)},
			[2]string{"name", clean(x.Name)}, [2]string{"message", clean(x.MessageID)}, [2]string{"code", x.Code}, [2]string{"what went wrong", clean(x.Error)})
		text := fmt.Sprintf("%d bytes that are no event (see --json)", len(x.Bytes))
		if x.Event != nil {
			b, err := json.Marshal(x.Event)
			if err != nil {
				b = []byte(err.Error())
			}
			text = string(b)
		}
		c.printf("\n%s\n", clean(text))
	})
}

func asideID(x *explain.Aside) string { return x.Lane + "/" + strconv.FormatInt(x.Position, 10) }

func sentAgain(c *console, sent bool) string {
	if sent {
		return c.green("sent again")
	}
	return ""
}
