package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rapport/internal/delivery/deliverytest"
)

const faultyMails = 60 // of each class

// A mail server that drops the connection before DATA has taken nothing: every
// mail arrives once in the end, and the ledger says so.
func TestAServerThatDropsBeforeDATAGetsEveryMailOnce(t *testing.T) {
	t.Parallel()
	onBothStores(t, aServerThatDropsBeforeDATAGetsEveryMailOnce)
}

func aServerThatDropsBeforeDATAGetsEveryMailOnce(t *testing.T, database string) {
	t.Helper()
	sink := scripted(t, func(to string, times int) deliverytest.Fault {
		if numberOf(to)%3 == 0 && times == 1 {
			return deliverytest.Fault{Drop: deliverytest.BeforeData}
		}
		return deliverytest.Fault{}
	})
	f := newFaulty(t, sink.Addr())
	f.database = database
	f.start()
	var ids []string
	for i := range faultyMails {
		f.trigger(fmt.Sprintf("m%d", i), fmt.Sprintf("m%d@m%d.example", i, i))
		ids = append(ids, f.send(fmt.Sprintf("t%d", i), fmt.Sprintf("t%d@t%d.example", i, i)))
	}
	states := f.quiet(20 * time.Second)
	if states["accepted"] != 2*faultyMails {
		t.Errorf("states %v, want %d accepted", states, 2*faultyMails)
	}
	for i := range faultyMails {
		for _, class := range []string{"m", "t"} {
			if n := sink.To(fmt.Sprintf("%s%d@%s%d.example", class, i, class, i)); n != 1 {
				t.Errorf("mail %s%d arrived %d times, want once", class, i, n)
			}
		}
		if m := f.mail(ids[i]); m.State != "accepted" || m.Duplicate {
			t.Errorf("mail t%d: %+v", i, m)
		}
	}
}

// One that drops after the final dot may have taken the mail or not: marketing
// is not repeated, a transactional mail is, and says so; ledger and sink count
// alike.
func TestAServerThatDropsAfterTheFinalDot(t *testing.T) {
	t.Parallel()
	onBothStores(t, aServerThatDropsAfterTheFinalDot)
}

func aServerThatDropsAfterTheFinalDot(t *testing.T, database string) {
	t.Helper()
	cut := func(n int) bool { return n%3 == 0 }
	sink := scripted(t, func(to string, times int) deliverytest.Fault {
		if cut(numberOf(to)) && times == 1 {
			return deliverytest.Fault{Drop: deliverytest.AfterDot}
		}
		return deliverytest.Fault{}
	})
	f := newFaulty(t, sink.Addr())
	f.database = database
	f.start()
	var ids []string
	for i := range faultyMails {
		f.trigger(fmt.Sprintf("m%d", i), fmt.Sprintf("m%d@m%d.example", i, i))
		ids = append(ids, f.send(fmt.Sprintf("t%d", i), fmt.Sprintf("t%d@t%d.example", i, i)))
	}
	until(t, "every transactional mail is accepted, repeats after their wait", 45*time.Second, func() bool {
		return sink.Total() >= 2*faultyMails+faultyMails/3 && f.quiet(20 * time.Second)["accepted"] >= 2*faultyMails-faultyMails/3
	})
	states := f.quiet(20 * time.Second)
	accepted, unsure, flagged, came := 0, 0, 0, 0
	for i := range faultyMails {
		mails := f.mailsOf(fmt.Sprintf("m%d", i))
		if len(mails) != 1 {
			t.Fatalf("person m%d has %d mails, want one", i, len(mails))
		}
		want := "accepted"
		if cut(i) {
			want, unsure = "unknown", unsure+1
		} else {
			accepted++
		}
		n := sink.To(fmt.Sprintf("m%d@m%d.example", i, i))
		came += n
		if mails[0].State != want || n != 1 || mails[0].Duplicate {
			t.Errorf("marketing %d: %+v, arrived %d times; want %s and once", i, mails[0], n, want)
		}
		m, n, copies := f.mail(ids[i]), sink.To(fmt.Sprintf("t%d@t%d.example", i, i)), 1
		came += n
		accepted++
		if cut(i) {
			copies, flagged = 2, flagged+1
		}
		if m.State != "accepted" || n != copies || m.Duplicate != (copies == 2) {
			t.Errorf("transactional %d: %+v, arrived %d times; want accepted and %d", i, m, n, copies)
		}
	}
	if states["accepted"] != int64(accepted) || states["unknown"] != int64(unsure) || accepted+unsure+flagged != sink.Total() || came != sink.Total() {
		t.Errorf("the ledger counts %v, the sink %d; want %d accepted, %d unknown, %d repeats", states, sink.Total(), accepted, unsure, flagged)
	}
	// Also after a kill: what is closed stays closed.
	before := sink.Total()
	f.kill()
	f.start()
	if f.quiet(20 * time.Second); sink.Total() != before {
		t.Errorf("%d mails were sent again after a restart", sink.Total()-before)
	}
}

// numberOf reads the number in an address such as m12@m12.example; -1: none.
func numberOf(to string) int {
	n := -1
	_, _ = fmt.Sscanf(strings.TrimLeft(to, "abcdefghijklmnopqrstuvwxyz"), "%d@", &n) // -1 stays.
	return n
}

// A stop with mails on the wire lets those finish that do within 30 seconds,
// says how many do not, and these are unknown afterwards. Being told to stop
// again changes nothing.
func TestAStopSaysHowManyMailsAreOnTheWire(t *testing.T) {
	t.Parallel()
	sink := scripted(t, func(to string, _ int) deliverytest.Fault {
		if strings.HasPrefix(to, "stuck") {
			return deliverytest.Fault{Hang: deliverytest.AfterDot}
		}
		return deliverytest.Fault{}
	})
	f := newFaulty(t, sink.Addr())
	f.start()
	stuck := sink.Reached(3)
	for i := range 3 {
		f.trigger(fmt.Sprintf("s%d", i), fmt.Sprintf("stuck%d@s%d.example", i, i))
	}
	select {
	case <-stuck:
	case <-time.After(20 * time.Second):
		t.Fatalf("the mails do not come:\n%s", f.said)
	}
	again := time.AfterFunc(time.Second, func() { _ = f.cmd.Process.Signal(terminate) })
	defer again.Stop()
	began := time.Now()
	if code := f.stop(50 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if took := time.Since(began); took < 25*time.Second || took > 45*time.Second {
		t.Errorf("stopping took %s, want about 30 s for what is on the wire", took)
	}
	if log := f.said.String(); !strings.Contains(log, `"mails":3`) {
		t.Errorf("the log does not say that 3 mails were on the wire:\n%s", log)
	}
	f.start()
	states := f.quiet(20 * time.Second)
	if states["unknown"] != 3 || sink.Total() != 3 {
		t.Errorf("states %v, %d arrived; want 3 unknown and nothing sent again", states, sink.Total())
	}
}

// A stop while nothing is on the wire is quick, told twice or not.
func TestAStopIsQuickAndToldTwiceHarmless(t *testing.T) {
	t.Parallel()
	sink := scripted(t, func(string, int) deliverytest.Fault { return deliverytest.Fault{} })
	f := newFaulty(t, sink.Addr())
	for range 3 {
		f.start()
		_ = f.cmd.Process.Signal(terminate)
		if code := f.stop(10 * time.Second); code != 0 {
			t.Errorf("exit code %d, want 0:\n%s", code, f.said)
		}
	}
}
