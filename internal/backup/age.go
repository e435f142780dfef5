package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/s2"

	"rapport/internal/fault"
)

// leastPassphrase is how long a passphrase is at least.
const leastPassphrase = 12

// Lock says who can read a copy: whoever has the passphrase, or one of the recipients.
type Lock struct {
	Passphrase string
	Recipients []string // age1…, as age-keygen prints them
	Work       int      // what a passphrase costs, a power of two; zero for what age takes, about a second
}

// Opener says what a reader has.
type Opener struct {
	Passphrase string
	Identities []byte // a file of age's, AGE-SECRET-KEY-1…
}

func (l *Lock) recipients() (out []age.Recipient, err error) {
	switch {
	case l.Passphrase == "" && len(l.Recipients) == 0:
		return nil, fault.New(fault.Invalid, "backup_unlocked",
			"nobody is named who may read the backup: give --recipient age1…, or a passphrase in RAPPORT_BACKUP_PASSPHRASE or in the file that RAPPORT_BACKUP_PASSPHRASE_FILE names")
	case l.Passphrase != "" && len(l.Recipients) > 0:
		return nil, fault.New(fault.Invalid, "backup_locked_twice", "a backup is encrypted for recipients or under a passphrase, not both: take one of them away")
	case l.Passphrase != "" && len(l.Passphrase) < leastPassphrase:
		return nil, fault.New(fault.Invalid, "passphrase_short", "a backup is encrypted under a passphrase of at least %d bytes", leastPassphrase)
	case l.Passphrase != "":
		r, err := age.NewScryptRecipient(l.Passphrase)
		if err == nil && l.Work > 0 {
			r.SetWorkFactor(l.Work)
		}
		return []age.Recipient{r}, err
	}
	for _, text := range l.Recipients {
		list, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil {
			return nil, fault.New(fault.Invalid, "bad_recipient", "a recipient is no public key of age: it begins with age1, as age-keygen prints it")
		}
		out = append(out, list...)
	}
	return out, nil
}

// Check tells whether something can be encrypted so.
func (l *Lock) Check() error {
	_, err := l.recipients()
	return err
}

// Encrypt compresses and encrypts what is written, until it is closed.
func Encrypt(w io.Writer, l Lock) (io.WriteCloser, error) {
	to, err := l.recipients()
	if err != nil {
		return nil, err
	}
	locked, err := age.Encrypt(w, to...)
	if err != nil {
		return nil, fmt.Errorf("encrypt a backup: %w", err)
	}
	return &packed{s2.NewWriter(locked, s2.WriterConcurrency(1)), locked}, nil
}

type packed struct {
	*s2.Writer
	locked io.Closer
}

// Close writes what is left, and the end by which a reader knows that nothing is missing.
func (p *packed) Close() error { return errors.Join(p.Writer.Close(), p.locked.Close()) }

// Decrypt opens what Encrypt wrote. Whether it is whole is known at its end.
func Decrypt(r io.Reader, o Opener) (io.Reader, error) {
	by, err := o.identities()
	if err != nil {
		return nil, err
	}
	open, err := age.Decrypt(r, by...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, fault.New(fault.Denied, "backup_locked", "the backup does not open: the passphrase or the identity is another's")
	case err != nil:
		return nil, broken("it is not encrypted as a backup is, or its beginning is damaged")
	}
	return s2.NewReader(open), nil
}

func (o *Opener) identities() ([]age.Identity, error) {
	if len(o.Identities) > 0 {
		list, err := age.ParseIdentities(bytes.NewReader(o.Identities))
		if err != nil {
			return nil, fault.New(fault.Invalid, "bad_identity", "the file of --identity holds no identity of age: AGE-SECRET-KEY-1…")
		}
		return list, nil
	}
	if o.Passphrase == "" {
		return nil, fault.New(fault.Invalid, "backup_locked",
			"a backup is encrypted: give --identity FILE, or its passphrase in RAPPORT_BACKUP_PASSPHRASE or in the file that RAPPORT_BACKUP_PASSPHRASE_FILE names")
	}
	by, err := age.NewScryptIdentity(o.Passphrase)
	return []age.Identity{by}, err
}
