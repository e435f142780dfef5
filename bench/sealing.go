package bench

import (
	"context"
	"fmt"
)

// sealingRounds is how often a sealed and an unsealed server take turns, so that
// what else goes on at the machine meets both.
const sealingRounds = 2

// sealing walks the same load on servers that seal what they store and on servers
// that do not, in turn. The last row is what sealing costs an event.
func sealing(ctx context.Context, b *run) ([]Result, error) {
	var out []Result
	cpu := map[bool]float64{}
	for range sealingRounds {
		for _, unsealed := range []bool{true, false} {
			s, err := b.start(ctx, shape{people: b.People, seen: b.Seen, unsealed: unsealed})
			if err != nil {
				return out, err
			}
			r, err := b.sustain(ctx, s, b.People, false)
			if err != nil {
				return out, err
			}
			if r.Name = "sealed: " + r.Name; unsealed {
				r.Name = "un" + r.Name
			}
			out = append(out, r)
			cpu[unsealed] += r.CPU / sealingRounds
		}
	}
	b.stop()
	cost := Result{Name: "what sealing costs an event, ingest and walk", CPU: cpu[false] - cpu[true]}
	cost.Note = fmt.Sprintf("%.1f against %.1f µs of CPU, means of %d turns each", cpu[false], cpu[true], sealingRounds)
	return append(out, cost), nil
}
