package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"rapport/internal/eventlog"
	"rapport/internal/fault"
	"rapport/internal/id"
	"rapport/internal/identity"
	"rapport/internal/rights"
	"rapport/internal/seal"
	"rapport/internal/store"
)

// erasuresFile lists of whom nothing is kept any more, apart from the databases: a
// backup of them that is older than an erasure would bring the person back, and
// this file erases them again. It holds keyed hashes and no name.
const erasuresFile = "erasures.jsonl"

// restoredRequest stands for the request where the file alone knows of an erasure.
const restoredRequest = "restored"

// erasure is one line of the file: identifiers under which nothing is kept from
// then on, or is kept again. The first is written once the state says so, the second
// before: it counts only for a state that has walked the record which says so. One
// that has not still has them barred, or is older than the erasure itself.
type erasure struct {
	At       time.Time     `json:"at"`
	Barred   []string      `json:"barred,omitempty"`   // in hex
	People   []id.Person   `json:"people,omitempty"`   // who were erased, by their numbers; missing where that is not known
	Admitted []string      `json:"admitted,omitempty"` // in hex
	Lane     eventlog.Lane `json:"lane,omitempty"`
	Record   int64         `json:"record,omitempty"` // its position
}

// erasures is the file. It is safe for concurrent use.
type erasures struct {
	mu   sync.Mutex
	file *os.File

	last admission // which the walk has written last; it is the walk's own
}

// admission is one record that lets somebody in.
type admission struct {
	name id.Hash
	lane eventlog.Lane
	pos  int64
}

// openErasures reads the file and opens it to be appended to. A line that a crash
// cut short was never promised to anybody.
func openErasures(dir string) (x *erasures, raw []byte, err error) {
	path := filepath.Join(dir, erasuresFile)
	raw, err = os.ReadFile(path) //nolint:gosec // The path is the operator's own choice.
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read who was erased: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // As above.
	if err != nil {
		return nil, nil, fmt.Errorf("open who was erased: %w", err)
	}
	if n := bytes.LastIndexByte(raw, '\n') + 1; n < len(raw) {
		if err := file.Truncate(int64(n)); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("mend who was erased: %w", err), file.Close())
		}
	}
	return &erasures{file: file}, raw, nil
}

// listed is of whom nothing is kept by the file.
type listed struct {
	barred []id.Hash
	people map[id.Hash][]id.Person // who was erased with it, where the file says that
}

// readErasures gives whose hashes are barred for a state that has walked so far.
func readErasures(raw []byte, walked func(eventlog.Lane) int64) (out listed, err error) {
	all := map[id.Hash]bool{}
	out.people = map[id.Hash][]id.Person{}
	var order []id.Hash
	n := 0
	for line := range bytes.Lines(raw[:bytes.LastIndexByte(raw, '\n')+1]) {
		n++
		damaged := fault.New(fault.Conflict, "erasures_damaged", "line %d of %s cannot be read: restore the file from a backup", n, erasuresFile)
		var e erasure
		if err := json.Unmarshal(line, &e); err != nil {
			return listed{}, damaged
		}
		counts := walked(e.Lane) >= e.Record
		for i, list := range [2][]string{e.Barred, e.Admitted} {
			for _, text := range list {
				h, ok := id.ParseHash(text)
				if !ok {
					return listed{}, damaged
				}
				all[h] = i == 0 || !counts
				order = append(order, h)
				if i == 0 && len(e.People) > 0 {
					out.people[h] = append(out.people[h], e.People...)
				}
			}
		}
	}
	for _, h := range order {
		if all[h] {
			out.barred, all[h] = append(out.barred, h), false
		}
	}
	return out, nil
}

// checkErasures tells whether each line can be read.
func checkErasures(raw []byte) error {
	_, err := readErasures(raw, func(eventlog.Lane) int64 { return 0 })
	return err
}

// keepErasures adds lines to the file of a folder, each once and where it belongs.
func keepErasures(newer []byte, dir string) error {
	path := filepath.Join(dir, erasuresFile)
	there, err := readOr(path)
	if err != nil {
		return fmt.Errorf("read who was erased: %w", err)
	}
	all := joinedErasures(there, newer)
	if bytes.Equal(all, there) {
		return nil
	}
	if err := writeSecret(path, all); err != nil {
		return fmt.Errorf("write who was erased: %w", err)
	}
	return nil
}

// joinedErasures gives the lines of both, each once, in the order in which they were
// written: of what is said of one name the last line holds, whichever list has it. A
// line that a crash cut short is in neither.
func joinedErasures(older, newer []byte) (out []byte) {
	type dated struct {
		at   time.Time
		line []byte
	}
	var all []dated
	known := map[string]int{}
	for i, raw := range [2][]byte{older, newer} {
		var last time.Time // Of one list the order holds, also where a clock went back.
		for line := range bytes.Lines(raw[:bytes.LastIndexByte(raw, '\n')+1]) {
			var e erasure
			if json.Unmarshal(line, &e) == nil && e.At.After(last) { // Who reads it says that it is damaged.
				last = e.At
			}
			if i == 0 {
				known[string(line)]++
			} else if known[string(line)] > 0 {
				known[string(line)]--
				continue
			}
			all = append(all, dated{last, line})
		}
	}
	slices.SortStableFunc(all, func(x, y dated) int { return x.at.Compare(y.at) })
	for _, x := range all {
		out = append(out, x.line...)
	}
	return out
}

// add writes a line and has it on the disk before it returns.
func (x *erasures) add(e erasure) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	info, err := x.file.Stat()
	if err != nil {
		return fmt.Errorf("write who was erased: %w", err)
	}
	if _, err := x.file.Write(append(line, '\n')); err != nil { // Half a line would spoil the next.
		return errors.Join(fmt.Errorf("write who was erased: %w", err), x.file.Truncate(info.Size()))
	}
	return x.file.Sync()
}

func hexes(list []id.Hash) (out []string) {
	for _, h := range list {
		out = append(out, h.String())
	}
	return out
}

// openBarred learns of whom nothing is kept: from the state, and from the file,
// which the state may be older than.
func (h *House) openBarred(ctx context.Context) error {
	var raw []byte
	var err error
	if h.erasures, raw, err = openErasures(h.Data); err != nil {
		return err
	}
	h.onClose(h.erasures.file.Close)
	walked := map[eventlog.Lane]int64{}
	var again []id.Hash // A crash came between this and their second erasure.
	err = h.state.Read(ctx, func(tx store.Tx) (err error) {
		for _, lane := range lanes {
			if walked[lane], err = tx.Processor().Position(lane); err != nil {
				return err
			}
		}
		again = again[:0]
		err = tx.Rights().EachBarred(func(x id.Hash, request string) error {
			if request == restoredRequest {
				again = append(again, x)
			}
			return nil
		})
		return errors.Join(err, h.barred.Load(tx.Rights()))
	})
	if err != nil {
		return fmt.Errorf("read who was erased: %w", err)
	}
	list, err := readErasures(raw, func(lane eventlog.Lane) int64 { return walked[lane] })
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(list.barred), h.barred.Has)
	if len(missing) > 0 {
		err = h.state.Write(ctx, store.WriteOptions{Priority: store.Urgent, Durable: true}, func(tx store.Tx) error {
			return errors.Join(tx.Rights().Bar(restoredRequest, missing), forgetNames(tx, missing))
		})
		if err != nil {
			return fmt.Errorf("bar who was erased: %w", err)
		}
		h.barred.Change(missing, nil)
	}
	h.again, h.erasedThen = append(again, missing...), list.people
	if err := errors.Join(h.destroyAgain(ctx), h.destroy(nil, h.again)); err != nil {
		return err
	}
	known := map[id.Hash]bool{}
	for _, x := range list.barred {
		known[x] = true
	}
	return h.noteBarred(ctx, known)
}

// forgetNames takes away what was said under names by themselves.
func forgetNames(tx store.Tx, names []id.Hash) error {
	for _, x := range names {
		if err := errors.Join(tx.Consent().Forget(x), tx.Audit().Forget(x)); err != nil {
			return err
		}
	}
	return nil
}

// noteBarred writes into the file what only the state knows, and destroys the keys of
// those names: a crash came between the two.
func (h *House) noteBarred(ctx context.Context, known map[id.Hash]bool) error {
	fresh, people := map[string][]id.Hash{}, map[string][]id.Person{}
	err := h.state.Read(ctx, func(tx store.Tx) error {
		clear(fresh)
		err := tx.Rights().EachBarred(func(x id.Hash, request string) error {
			if !known[x] {
				fresh[request] = append(fresh[request], x)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for name := range fresh {
			r, found, err := tx.Rights().Request(name)
			if err != nil {
				return err
			}
			if found && r.Person != 0 {
				if people[name], err = numbersOf(tx, r.Person); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(fresh)) {
		if err := h.destroy(nil, fresh[name]); err != nil {
			return err
		}
		if err := h.erasures.add(erasure{At: h.clock.Now(), Barred: hexes(fresh[name]), People: people[name]}); err != nil {
			return err
		}
	}
	return nil
}

// numbersOf gives every number of somebody who was erased.
func numbersOf(tx store.Tx, who id.Person) ([]id.Person, error) {
	out := []id.Person{who}
	merges, err := tx.Identity().Merges(who)
	for _, m := range merges {
		if m.Into == who && m.Rule != identity.RuleUnmerge {
			out = append(out, m.From)
		}
	}
	return out, err
}

// erased follows what the walk has committed: with the keys goes what any copy
// holds of who was erased.
func (h *House) erased(gone []id.Person, barred, admitted []id.Hash) {
	h.barred.Change(barred, admitted)
	stay := slices.DeleteFunc(slices.Clone(barred), func(x id.Hash) bool { return slices.Contains(admitted, x) })
	if err := h.destroy(gone, barred); err != nil {
		h.logger.Error("keys of who was erased could not be destroyed; it is tried again at the next start", "error", err)
	}
	if len(stay) == 0 {
		return
	}
	if err := h.erasures.add(erasure{At: h.clock.Now(), Barred: hexes(stay), People: gone}); err != nil {
		h.logger.Error("an erasure stands in the state and could not be written beside it; it is tried again at the next start", "error", err)
	}
}

// admits writes into the file, before the state says it, that events under a name
// are kept again: were it the other way round, a crash between the two would have
// them erased whom the state has let in. While it cannot be written the walk waits.
func (h *House) admits(x id.Hash, lane eventlog.Lane, pos int64) error {
	now := admission{x, lane, pos}
	if h.erasures.last == now { // Its batch is walked once more.
		return nil
	}
	err := h.erasures.add(erasure{At: h.clock.Now(), Admitted: hexes([]id.Hash{x}), Lane: lane, Record: pos})
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "erasures_unwritable", "who comes back cannot be written to %s: make room on its disk", erasuresFile)
	}
	h.erasures.last = now
	return nil
}

// destroy takes the keys of people, and of what was said under their names.
func (h *House) destroy(gone []id.Person, names []id.Hash) error {
	if h.keyring == nil || len(gone)+len(names) == 0 {
		return nil
	}
	var keys []seal.ID
	for _, who := range gone {
		keys = append(keys, seal.Person(who))
	}
	for _, name := range names {
		keys = append(keys, seal.Name(name))
	}
	return h.keyring.ring.Destroy(keys...)
}

// destroyAgain takes the keys of those who were erased: a crash may have come between
// the two. It looks at all, for who was erased last may have asked long ago.
func (h *House) destroyAgain(ctx context.Context) error {
	if h.keyring == nil {
		return nil
	}
	var gone []id.Person
	err := h.state.Read(ctx, func(tx store.Tx) error {
		gone = gone[:0]
		return rights.Each(rights.Query{Kind: rights.Erase}, tx.Rights().Requests, func(r *rights.Request) (bool, error) {
			if r.Outcome != rights.Done || r.Person == 0 {
				return true, nil
			}
			numbers, err := numbersOf(tx, r.Person)
			gone = append(gone, numbers...)
			return true, err
		})
	})
	if err != nil {
		return fmt.Errorf("read who was erased: %w", err)
	}
	return h.destroy(gone, nil)
}
