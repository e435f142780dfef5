package sqlitestore

import (
	"rapport/internal/id"
	"rapport/internal/timer"
)

type alarms tx

var _ timer.Store = (*alarms)(nil)

func (s *alarms) Arm(a timer.Alarm) error {
	q := s.c.query("INSERT INTO alarm(due, person) VALUES(?, ?) ON CONFLICT DO NOTHING")
	q.int(a.Due)
	q.int(int64(a.Who))
	return q.exec()
}

func (s *alarms) Disarm(a timer.Alarm) error {
	q := s.c.query("DELETE FROM alarm WHERE due = ? AND person = ?")
	q.int(a.Due)
	q.int(int64(a.Who))
	return q.exec()
}

func (s *alarms) DueBy(until int64, after timer.Alarm, limit int) ([]timer.Alarm, error) {
	q := s.c.query("SELECT due, person FROM alarm WHERE (due, person) > (?, ?) AND due <= ? ORDER BY due, person LIMIT ?")
	q.int(after.Due)
	q.int(int64(after.Who))
	q.int(until)
	q.int(int64(limit))
	var out []timer.Alarm
	for q.step() {
		out = append(out, timer.Alarm{Due: q.colInt(0), Who: id.Person(q.colInt(1))})
	}
	return out, q.done()
}

func (s *alarms) Next() (a timer.Alarm, found bool, err error) {
	q := s.c.query("SELECT due, person FROM alarm ORDER BY due, person LIMIT 1")
	if q.step() {
		a, found = timer.Alarm{Due: q.colInt(0), Who: id.Person(q.colInt(1))}, true
	}
	return a, found, q.done()
}
