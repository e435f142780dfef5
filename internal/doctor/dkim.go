package doctor

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"

	"rapport/internal/project"
)

// dkim tells whether receivers find the keys under which mails are signed.
func (p *Patient) dkim(ctx context.Context) (out []Finding) {
	if !p.sending() {
		return nil
	}
	for _, d := range p.relays() {
		if len(d.DKIM) == 0 {
			out = append(out, found(Warning, d.Name, "mails leave unsigned: unless the mail server signs them for your domain, mailbox providers refuse them",
				"write `dkim:` in providers/"+d.Name+".yaml, or make sure that the mail server signs for your own domain"))
		}
		for _, k := range d.DKIM {
			out = append(out, p.dkimOf(ctx, k))
		}
	}
	return out
}

func (p *Patient) dkimOf(ctx context.Context, k project.DKIM) Finding {
	name := k.Selector + "._domainkey." + k.Domain
	list, err := p.texts(ctx, name)
	if err != nil {
		return unknown(name, err)
	}
	own, kind := p.publicKey(k)
	write := "publish a TXT record at " + name + ": `v=DKIM1; k=" + kind + "; p=…`"
	if own != nil {
		write = "publish a TXT record at " + name + ": `v=DKIM1; k=" + kind + "; p=" + base64.StdEncoding.EncodeToString(own) + "`"
	}
	if len(list) == 0 {
		return found(Danger, name, "the key is not published: every signature under it fails", write)
	}
	if len(list) > 1 {
		return found(Danger, name, fmt.Sprintf("there are %d records, of which receivers may take any", len(list)), "leave one of them")
	}
	return judgeDKIM(name, list[0], own, write)
}

// judgeDKIM holds a published record against the key that we sign with, as far as
// that is known.
func judgeDKIM(name, record string, own []byte, write string) Finding {
	tags := tagsOf(record)
	if v, ok := tags["v"]; ok && v != "DKIM1" {
		return found(Danger, name, "the record is not one of DKIM", write)
	}
	p := strings.Join(strings.Fields(tags["p"]), "")
	if p == "" {
		return found(Danger, name, "the published key is revoked", write)
	}
	published, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		return found(Danger, name, "the published key cannot be read", write)
	}
	bits, err := strength(published, tags["k"])
	switch {
	case err != nil:
		return found(Danger, name, "the published key cannot be read", write)
	case own != nil && !sameKey(own, published):
		return found(Danger, name, "the published key is not the one that mails are signed with: every signature fails", write)
	case bits > 0 && bits < 1024:
		return found(Danger, name, fmt.Sprintf("the key has %d bits: receivers take none below 1024", bits), "make a key of 2048 bits and publish it under another selector")
	case bits > 0 && bits < 2048:
		return found(Warning, name, fmt.Sprintf("the key has %d bits", bits), "make a key of 2048 bits and publish it under another selector")
	case strings.Contains(":"+tags["t"]+":", ":y:"):
		return found(Warning, name, "the record says that signing is being tried (t=y): receivers may take mails as unsigned", "take t=y out of it")
	case own == nil:
		return found(Note, name, "a key is published; whether mails are signed with it cannot be told, because it cannot be read here", "run this where the key can be read")
	}
	return fine(name, "the key that mails are signed with is published")
}

// tagsOf reads a list of tags: "v=DKIM1; p=…".
func tagsOf(record string) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(record, ";") {
		if name, value, ok := strings.Cut(part, "="); ok {
			out[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	return out
}

// strength gives the bits of an RSA key, 0 for one of ed25519.
func strength(published []byte, kind string) (int, error) {
	if kind == "ed25519" {
		if len(published) != ed25519.PublicKeySize {
			return 0, fmt.Errorf("%d bytes are no ed25519 key", len(published))
		}
		return 0, nil
	}
	k, err := rsaKey(published)
	if err != nil {
		return 0, err
	}
	return k.N.BitLen(), nil
}

// rsaKey reads both forms in which keys are published.
func rsaKey(der []byte) (*rsa.PublicKey, error) {
	if k, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return k, nil
	}
	any, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	k, ok := any.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T", any)
	}
	return k, nil
}

// sameKey tells whether two published forms are of one key.
func sameKey(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, errX := rsaKey(a)
	y, errY := rsaKey(b)
	return errX == nil && errY == nil && x.Equal(y)
}

// publicKey gives the public half of a key as it is published, nil where the key
// cannot be read here.
func (p *Patient) publicKey(k project.DKIM) (public []byte, kind string) {
	kind = "rsa"
	text, err := p.Secrets.Resolve(k.Key)
	if err != nil {
		return nil, kind
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, kind
	}
	var key any
	if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, kind
	}
	switch public := signer.Public().(type) {
	case ed25519.PublicKey:
		return public, "ed25519"
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return nil, kind
		}
		return der, kind
	}
	return nil, kind
}
