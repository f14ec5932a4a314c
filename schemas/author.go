package schemas

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"regexp"
	"strings"
	"sync"
)

// MinAuthorKey is how many bytes the key of an AuthorKey has at least: who
// knows an author's id and its hash can try keys, and must not find one.
const MinAuthorKey = 32

// AuthorKey makes of an author's id what may leave the process: a keyed hash,
// the same for the same author, that nobody without the key can turn back or
// make for an author of his choice. A nil key knows no names.
type AuthorKey struct {
	id string
	// macs are ready to begin: what the key makes of them is worked out once.
	macs sync.Pool
}

// NewAuthorKey refuses keys shorter than MinAuthorKey.
func NewAuthorKey(key string) (*AuthorKey, error) {
	if len(key) < MinAuthorKey {
		return nil, fmt.Errorf("has %d bytes: must have %d or more, as from: openssl rand -hex 32", len(key), MinAuthorKey)
	}
	k := &AuthorKey{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, []byte(key)) }}}
	k.id = hex.EncodeToString(k.sum("itrstream: the id of this key")[:4])
	return k, nil
}

func (k *AuthorKey) sum(text string) []byte {
	h := k.macs.Get().(hash.Hash)
	defer k.macs.Put(h)
	h.Reset()
	h.Write([]byte(text))
	return h.Sum(nil)
}

// ID tells keys apart: 8 hexadecimal digits that tell nothing else about the
// key; empty for none.
func (k *AuthorKey) ID() string {
	if k == nil {
		return ""
	}
	return k.id
}

// Hash returns hmac-sha256:<key id>:<HMAC-SHA-256 of the id in base64url>,
// and nothing for nobody or without a key.
func (k *AuthorKey) Hash(author string) string {
	if k == nil || author == "" {
		return ""
	}
	return "hmac-sha256:" + k.id + ":" + base64.RawURLEncoding.EncodeToString(k.sum(author))
}

// did matches a DID inside an address, its colons escaped or not. What
// follows it there is a slash, a parameter, or nothing.
var did = regexp.MustCompile(`(?i)did(:|%3a)[a-z]+(:|%3a)[a-z0-9._:-]+(%[0-9a-f]{2}[a-z0-9._:-]*)*`)

// Address returns an address, such as a post's URI, with the hash of each DID
// in its place: on Bluesky the authority of a post's URI is its author's id.
// Without a key the address stays as it is.
func (k *AuthorKey) Address(address string) string {
	if k == nil {
		return address
	}
	if !mayHoldDID(address) {
		return address
	}
	return did.ReplaceAllStringFunc(address, func(found string) string {
		return k.Hash(unescapeColons(found))
	})
}

// mayHoldDID is quick, for most of what has no DID.
func mayHoldDID(address string) bool {
	return strings.ContainsAny(address, "dD") && strings.ContainsAny(address, ":%")
}

var escapedColon = regexp.MustCompile(`(?i)%3a`)

func unescapeColons(s string) string { return escapedColon.ReplaceAllString(s, ":") }
