// Package bucket keeps copies in a bucket of a service that speaks the protocol of
// Amazon S3. What comes in is a stream; what goes out are signed requests (Signature
// Version 4), of which none holds more than a part of it. An upload that did not end
// is taken back, and nobody lists it. It knows nothing of what it keeps.
package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"rapport/internal/backup"
	"rapport/internal/fault"
)

// Config says where a bucket is and who asks. Address, keys, Now and Client are required.
type Config struct {
	Address   string // s3://BUCKET/PREFIX
	Endpoint  string // of the service; "" for Amazon's of the region
	Region    string // "" for us-east-1, which most services take
	AccessKey string
	Secret    string
	Session   string // of temporary keys
	PartSize  int    // bytes of the first parts of an upload; zero for 8 MiB
	Now       func() time.Time
	Client    *http.Client
	Pause     time.Duration // of machine time before a request is made again, twice as long each time; zero for a second
}

// Bucket is a place for copies.
type Bucket struct {
	c        Config
	base     *url.URL // of the bucket
	prefix   string   // "" or with a slash at its end
	signs    *signer.Signer
	identity aws.Credentials
}

var _ backup.Place = (*Bucket)(nil)

// Is tells whether an address is one of a bucket.
func Is(address string) bool { return strings.HasPrefix(address, "s3://") }

// New checks the configuration. It asks nobody yet.
func New(c Config) (*Bucket, error) {
	name, prefix, _ := strings.Cut(strings.TrimPrefix(c.Address, "s3://"), "/")
	switch {
	case !Is(c.Address) || name == "" || strings.Trim(escaped(name), ".") == "" || strings.Contains(escaped(name), "%"):
		return nil, fault.New(fault.Invalid, "bad_bucket", "%q is no bucket: give s3://BUCKET/PREFIX", c.Address)
	case c.AccessKey == "" || c.Secret == "":
		return nil, fault.New(fault.Invalid, "bucket_credentials", "a bucket knows nobody without keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case c.Now == nil || c.Client == nil:
		return nil, errors.New("bucket: Config.Now and Client are required")
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Endpoint == "" {
		c.Endpoint = "https://s3." + c.Region + ".amazonaws.com"
	}
	if c.PartSize <= 0 {
		c.PartSize = 8 << 20
	}
	if c.Pause <= 0 {
		c.Pause = time.Second
	}
	base, err := url.Parse(c.Endpoint)
	if err != nil || base.Host == "" || base.User != nil || base.Scheme != "https" && !(base.Scheme == "http" && loopback(base.Hostname())) {
		return nil, fault.New(fault.Invalid, "bad_endpoint", "the endpoint of a bucket is https://HOST, http:// on this machine only: see to AWS_ENDPOINT_URL_S3")
	}
	client := *c.Client // A redirect would go where nobody was asked to sign for.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Client = &client
	base = base.JoinPath(name)
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return &Bucket{
		c: c, base: base, prefix: prefix,
		signs:    signer.NewSigner(func(o *signer.SignerOptions) { o.DisableURIPathEscaping = true }),
		identity: aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.Secret, SessionToken: c.Session},
	}, nil
}

// loopback tells whether a host is this machine.
func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// request is one to the service.
type request struct {
	method, key string
	query       url.Values
	body        []byte
}

// escaped writes a path as it is signed, which is stricter than what a URL needs: only
// letters, digits, -._~ and the slash stay.
func escaped(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// tries is how often a request is made that the service or the network fails.
const tries = 3

// maxAnswer bounds what is read of an answer that is no copy.
const maxAnswer = 8 << 20

// again does something until it succeeds, fails for good, or has failed often enough.
func (b *Bucket) again(ctx context.Context, once func() error) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return fmt.Errorf("ask the bucket: %w", ctx.Err())
		case <-pause.C:
		}
		err := once()
		if n == tries || !errors.Is(err, errAgain) || ctx.Err() != nil {
			return err
		}
		pause.Reset(b.c.Pause << (n - 1))
	}
}

// do makes a request, again where it may help, and gives the answer's body whole.
func (b *Bucket) do(ctx context.Context, r request) (raw []byte, head http.Header, err error) {
	err = b.again(ctx, func() error {
		res, err := b.once(ctx, r)
		if err != nil {
			return err
		}
		head = res.Header
		raw, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		_ = res.Body.Close() // It was read to its end.
		if err != nil {
			return fault.Wrap(errors.Join(errAgain, err), fault.Unavailable, "bucket_unreachable", "the bucket's answer broke off; try again")
		}
		return nil
	})
	return raw, head, err
}

// errAgain marks what may go better the next time.
var errAgain = errors.New("the bucket did not take it")

// once makes a request. The body of the answer is the caller's to close.
func (b *Bucket) once(ctx context.Context, r request) (*http.Response, error) {
	u := *b.base
	if r.key != "" {
		u.Path += "/" + r.key
	}
	u.RawPath = escaped(u.Path)
	u.RawQuery = strings.ReplaceAll(r.query.Encode(), "+", "%20")
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("ask the bucket: %w", err)
	}
	sum := sha256.Sum256(r.body)
	payload := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", payload)
	if err := b.signs.SignHTTP(ctx, b.identity, req, payload, "s3", b.c.Region, b.c.Now()); err != nil {
		return nil, fmt.Errorf("sign a request: %w", err)
	}
	res, err := b.c.Client.Do(req)
	if err != nil {
		var says *url.Error // It names the address with all that is in it.
		if errors.As(err, &says) {
			err = says.Err
		}
		return nil, fault.Wrap(errors.Join(errAgain, err), fault.Unavailable, "bucket_unreachable", "the bucket cannot be reached; try again")
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }() // What it says is not needed any more.
	return nil, refusal(res)
}

// refusal says why the service did not do it, in its own word.
func refusal(res *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // Without it the status says enough.
	var said struct {
		XMLName xml.Name `xml:"Error"`
		Code    string   `xml:"Code"`
	}
	_ = xml.Unmarshal(raw, &said) // As above.
	why := fmt.Sprintf("the bucket answers %d %s", res.StatusCode, said.Code)
	switch {
	case res.StatusCode == http.StatusNotFound:
		return fault.New(fault.NotFound, "no_backup", "%s: there is no such bucket, or no such object in it", why)
	case res.StatusCode < 400:
		return fault.New(fault.Invalid, "bucket_elsewhere", "%s: the bucket is in another region; name that with AWS_REGION", why)
	case res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized:
		return fault.New(fault.Denied, "bucket_denied", "%s: see to the keys, the region and the clock of this machine", why)
	case res.StatusCode == http.StatusNotImplemented: // It never will.
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return fault.Wrap(errAgain, fault.Unavailable, "bucket_failed", "%s; try again", why)
	}
	return fault.New(fault.Invalid, "bucket_refused", "%s: see to the bucket's name, the region and the endpoint", why)
}

// Get implements backup.Place.
func (b *Bucket) Get(ctx context.Context, name string, fn func(io.Reader) error) error {
	var body io.ReadCloser
	err := b.again(ctx, func() error {
		res, err := b.once(ctx, request{method: http.MethodGet, key: b.prefix + name}) //nolint:bodyclose // It is, below.
		if err == nil {
			body = res.Body
		}
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(fn(body), body.Close())
}

// List implements backup.Place.
func (b *Bucket) List(ctx context.Context) (out []backup.Object, err error) {
	q := url.Values{"list-type": {"2"}, "prefix": {b.prefix}}
	for {
		raw, _, err := b.do(ctx, request{method: http.MethodGet, query: q})
		if err != nil {
			return nil, err
		}
		var page struct {
			Objects []struct {
				Key  string
				Size int64
			} `xml:"Contents"`
			More bool   `xml:"IsTruncated"`
			Next string `xml:"NextContinuationToken"`
		}
		if err := xml.Unmarshal(raw, &page); err != nil {
			return nil, fmt.Errorf("read the bucket's answer: %w", err)
		}
		for _, o := range page.Objects {
			if name := strings.TrimPrefix(o.Key, b.prefix); !strings.Contains(name, "/") {
				out = append(out, backup.Object{Name: name, Size: o.Size})
			}
		}
		if !page.More || page.Next == "" {
			return out, nil
		}
		q.Set("continuation-token", page.Next)
	}
}

// Remove implements backup.Place.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	_, _, err := b.do(ctx, request{method: http.MethodDelete, key: b.prefix + name})
	return err
}
