package kms

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// AWS is what AWS KMS knows a caller by.
type AWS struct {
	AccessKey, Secret string
	Session           string // of temporary credentials
	Endpoint          string // "" for Amazon's own of the key's region
}

// awsKey is a key of AWS KMS. Endpoint and protocol are those of its JSON API.
type awsKey struct {
	c             *Config
	arn, region   string
	endpoint      string
	signs         *signer.Signer
	authenticated aws.Credentials
}

var arnForm = regexp.MustCompile(`^arn:(aws[a-z-]*):kms:([a-z0-9-]+):[0-9]+:(?:key|alias)/[A-Za-z0-9/_-]+$`)

func newAWS(c *Config, arn string) (*awsKey, error) {
	m := arnForm.FindStringSubmatch(arn)
	if m == nil {
		return nil, invalid("%q is no key of AWS KMS: give aws-kms://arn:aws:kms:REGION:ACCOUNT:key/ID", arn)
	}
	if c.AWS.AccessKey == "" || c.AWS.Secret == "" {
		return nil, invalid("AWS KMS knows nobody without credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	k := &awsKey{c: c, arn: arn, region: m[2], endpoint: c.AWS.Endpoint, signs: signer.NewSigner()}
	if k.endpoint == "" {
		suffix := ".amazonaws.com"
		if m[1] == "aws-cn" {
			suffix += ".cn"
		}
		k.endpoint = "https://kms." + k.region + suffix
	}
	k.authenticated = aws.Credentials{AccessKeyID: c.AWS.AccessKey, SecretAccessKey: c.AWS.Secret, SessionToken: c.AWS.Session}
	return k, nil
}

// awsBytes is what both calls take and give. Bytes are base64 in JSON, as there.
type awsBytes struct {
	KeyID      string            `json:"KeyId,omitempty"`
	Plaintext  []byte            `json:"Plaintext,omitempty"`
	Ciphertext []byte            `json:"CiphertextBlob,omitempty"`
	Context    map[string]string `json:"EncryptionContext,omitempty"`
}

// with puts associated data where Tink puts it.
func with(associated []byte) map[string]string {
	if len(associated) == 0 {
		return nil
	}
	return map[string]string{"associatedData": hex.EncodeToString(associated)}
}

func (k *awsKey) Encrypt(plain, associated []byte) ([]byte, error) {
	var out awsBytes
	err := k.call("Encrypt", awsBytes{KeyID: k.arn, Plaintext: plain, Context: with(associated)}, &out)
	return full("AWS KMS", out.Ciphertext, err)
}

func (k *awsKey) Decrypt(body, associated []byte) ([]byte, error) {
	var out awsBytes
	err := k.call("Decrypt", awsBytes{KeyID: k.arn, Ciphertext: body, Context: with(associated)}, &out)
	return full("AWS KMS", out.Plaintext, err)
}

func (k *awsKey) call(what string, in awsBytes, out *awsBytes) error {
	return call(k.c, "AWS KMS", k.endpoint+"/", in, out, func(req *http.Request, body []byte) error {
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", "TrentService."+what)
		sum := sha256.Sum256(body)
		return k.signs.SignHTTP(req.Context(), k.authenticated, req, hex.EncodeToString(sum[:]), "kms", k.region, k.c.Now())
	})
}
