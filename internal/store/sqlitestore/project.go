package sqlitestore

import (
	"maps"
	"slices"

	"rapport/internal/project"
)

type versions tx

var _ project.Store = (*versions)(nil)

func (s *versions) InsertVersion(v project.Version) error {
	q := s.c.query("INSERT INTO version(number, applied, digest) VALUES(?, ?, ?)")
	q.int(int64(v.Number))
	q.time(v.Applied)
	q.text(v.Digest)
	if err := q.exec(); err != nil {
		return err
	}
	for _, path := range slices.Sorted(maps.Keys(v.Files)) {
		content := v.Files[path]
		if content == nil {
			content = []byte{}
		}
		q := s.c.query("INSERT INTO version_file(number, path, content) VALUES(?, ?, ?)")
		q.int(int64(v.Number))
		q.text(path)
		q.blob(content)
		if err := q.exec(); err != nil {
			return err
		}
	}
	return nil
}

func (s *versions) Version(number int) (project.Version, bool, error) {
	q := s.c.query("SELECT number, applied, digest FROM version WHERE number = ?")
	q.int(int64(number))
	return s.read(q)
}

func (s *versions) LatestVersion() (project.Version, bool, error) {
	return s.read(s.c.query("SELECT number, applied, digest FROM version ORDER BY number DESC LIMIT 1"))
}

func (s *versions) read(q query) (v project.Version, found bool, err error) {
	if q.step() {
		found = true
		v = project.Version{Number: int(q.colInt(0)), Applied: q.colTime(1), Digest: q.colText(2)}
	}
	if err := q.done(); err != nil || !found {
		return v, false, err
	}
	v.Files = make(map[string][]byte)
	q = s.c.query("SELECT path, content FROM version_file WHERE number = ?")
	q.int(int64(v.Number))
	for q.step() {
		v.Files[q.colText(0)] = q.colBlob(1)
	}
	return v, true, q.done()
}
