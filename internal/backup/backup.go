// Package backup is the form of a backup: a tar archive of named files behind each
// other, at its end a manifest with their digests and a signature over it. What
// comes in are files as they are copied; what goes out are the same, once every
// digest holds. It neither copies nor encrypts anything itself.
package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"rapport/internal/fault"
)

// Format is the version of the form.
const Format = 1

// Part says what a backup is of.
type Part string

// The parts. Keys have backups of their own, which live shorter: with them goes
// what was erased.
const (
	Data Part = "data"
	Keys Part = "keys"
)

// Mark names the file of a data folder whose time says when the last backup of a part
// was taken from it.
func (p Part) Mark() string { return "backup-" + string(p) + ".last" }

// Names of what stands at the end.
const (
	manifestName  = "manifest.json"
	signatureName = "manifest.signed"
)

// Entry is one file of a backup.
type Entry struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // in hex
}

// Manifest says what is in a backup and what it is of.
type Manifest struct {
	Format     int              `json:"format"`
	Part       Part             `json:"part"`
	Made       time.Time        `json:"made"`
	Build      string           `json:"build,omitempty"`
	House      string           `json:"house"`                // the log's name
	Walked     map[string]int64 `json:"walked,omitempty"`     // by lane: how far the state is
	People     int64            `json:"people,omitempty"`     // rows of people in the state
	Checkpoint string           `json:"checkpoint,omitempty"` // the trail's newest, signed
	Files      []Entry          `json:"files"`
}

// Writer writes a backup.
type Writer struct {
	tar      *tar.Writer
	manifest Manifest
}

// NewWriter begins one. What the manifest lists as files is made here.
func NewWriter(w io.Writer, m Manifest) *Writer {
	m.Format, m.Files = Format, nil
	return &Writer{tar: tar.NewWriter(w), manifest: m}
}

// Add writes one file of a size.
func (w *Writer) Add(name string, size int64, r io.Reader) error {
	head := &tar.Header{Name: name, Size: size, Mode: 0o600, ModTime: w.manifest.Made, Typeflag: tar.TypeReg}
	if err := w.tar.WriteHeader(head); err != nil {
		return fmt.Errorf("write %s into the backup: %w", name, err)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w.tar, sum), r)
	if err != nil {
		return fmt.Errorf("write %s into the backup: %w", name, err)
	}
	if n != size {
		return fmt.Errorf("write %s into the backup: it has %d bytes, not %d", name, n, size)
	}
	w.manifest.Files = append(w.manifest.Files, Entry{name, size, hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// Close writes the manifest and its signature. A backup without them is none.
func (w *Writer) Close(sign func(lines []string) (string, error)) error {
	raw, err := json.MarshalIndent(&w.manifest, "", " ")
	if err != nil {
		return err
	}
	signed, err := sign([]string{"backup " + digest(raw)})
	if err != nil {
		return err
	}
	for _, f := range [][2]string{{manifestName, string(raw)}, {signatureName, signed}} {
		head := &tar.Header{Name: f[0], Size: int64(len(f[1])), Mode: 0o600, ModTime: w.manifest.Made, Typeflag: tar.TypeReg}
		if err := w.tar.WriteHeader(head); err != nil {
			return fmt.Errorf("write the manifest: %w", err)
		}
		if _, err := io.WriteString(w.tar, f[1]); err != nil {
			return fmt.Errorf("write the manifest: %w", err)
		}
	}
	return w.tar.Close()
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Read reads a backup to its end: put is given each file, and check the signed
// lines over the manifest. What put has taken counts only once Read has returned
// without an error.
func Read(r io.Reader, put func(name string, r io.Reader) error, check func(signed []byte) (lines []string, err error)) (*Manifest, error) {
	in := tar.NewReader(r)
	var found []Entry
	var m *Manifest
	var raw []byte
	for {
		head, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, broken(err)
		}
		switch {
		case m != nil && head.Name == signatureName:
			signed, err := io.ReadAll(io.LimitReader(in, 1<<16))
			if err != nil {
				return nil, broken(err)
			}
			return m, whole(m, found, raw, signed, check)
		case head.Name == manifestName:
			if raw, err = io.ReadAll(io.LimitReader(in, 1<<22)); err != nil {
				return nil, broken(err)
			}
			m = &Manifest{}
			if err := json.Unmarshal(raw, m); err != nil || m.Format != Format {
				return nil, fault.New(fault.Invalid, "backup_format", "the backup is of another format: it was made by a newer version")
			}
		case head.Typeflag != tar.TypeReg || !plain(head.Name) || m != nil:
			return nil, fault.New(fault.Invalid, "backup_broken", "the backup holds something that no backup has")
		default:
			sum := sha256.New()
			count := &counter{r: io.TeeReader(in, sum)}
			if err := put(head.Name, count); err != nil {
				return nil, err
			}
			if _, err := io.Copy(io.Discard, count); err != nil {
				return nil, broken(err)
			}
			found = append(found, Entry{head.Name, count.n, hex.EncodeToString(sum.Sum(nil))})
		}
	}
	return nil, fault.New(fault.Invalid, "backup_incomplete", "the backup ends too early: it was cut short, or its making was interrupted")
}

func broken(err error) error {
	return fault.Wrap(err, fault.Invalid, "backup_broken", "the backup is damaged, or was changed, or the passphrase is another")
}

// plain tells whether a name is one in the folder itself.
func plain(name string) bool {
	return name != "" && name == path.Base(name) && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\\\x00")
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// whole holds what was found against the manifest, and that against its signature.
func whole(m *Manifest, found []Entry, raw, signed []byte, check func([]byte) ([]string, error)) error {
	if !slices.Equal(m.Files, found) {
		return fault.New(fault.Invalid, "backup_broken", "the files of the backup are not those of its manifest")
	}
	lines, err := check(signed)
	if err != nil {
		return err
	}
	if len(lines) != 1 || lines[0] != "backup "+digest(raw) {
		return fault.New(fault.Invalid, "backup_forged", "the manifest is not the one that was signed")
	}
	return nil
}
