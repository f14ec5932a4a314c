package schemas_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

const authorSecret = "0123456789abcdef0123456789abcdef"

func authorKey(t *testing.T, secret string) *schemas.AuthorKey {
	t.Helper()
	k, err := schemas.NewAuthorKey(secret)
	require.NoError(t, err)
	return k
}

// The hashes stand for authors in what others have stored: they never change.
// The values are those of openssl dgst -sha256 -hmac.
func TestAuthorHashGolden(t *testing.T) {
	t.Parallel()
	k := authorKey(t, authorSecret)
	require.Equal(t, "5de66105", k.ID())
	require.Equal(t, "hmac-sha256:5de66105:Gp-Nmto-tzqiZe9rmMaUz9fZHU6cBMOe3X65ytG8qes", k.Hash("did:plc:wireexample2222222222222"))
}

func TestAuthorHash(t *testing.T) {
	t.Parallel()
	k, other := authorKey(t, authorSecret), authorKey(t, strings.Repeat("x", 32))
	require.NotEqual(t, k.Hash("a"), k.Hash("b"))
	require.NotEqual(t, k.Hash("a"), other.Hash("a"))
	require.NotEqual(t, k.ID(), other.ID())
	require.Empty(t, k.Hash(""), "nobody")
	var none *schemas.AuthorKey
	require.Empty(t, none.Hash("a"))
	require.Empty(t, none.ID())
	_, err := schemas.NewAuthorKey("short-secret")
	require.ErrorContains(t, err, "12 bytes: must have 32 or more")
	require.NotContains(t, err.Error(), "short-secret")
}

func TestAddress(t *testing.T) {
	t.Parallel()
	k := authorKey(t, authorSecret)
	h := k.Hash("did:plc:abc2")
	for in, want := range map[string]string{
		"at://did:plc:abc2/app.bsky.feed.post/3k":                            "at://" + h + "/app.bsky.feed.post/3k",
		"https://cdn.example/img/feed_fullsize/plain/did:plc:abc2/bafy@jpeg": "https://cdn.example/img/feed_fullsize/plain/" + h + "/bafy@jpeg",
		"https://pds.example/xrpc/getBlob?did=did%3Aplc%3aabc2&cid=bafy":     "https://pds.example/xrpc/getBlob?did=" + h + "&cid=bafy",
		"at://did:web:example.org%3A8080/x":                                  "at://" + k.Hash("did:web:example.org:8080") + "/x",
		"https://example.org/did/the-candid:plc":                             "https://example.org/did/the-candid:plc",
		"t3_1wire9z":                                                         "t3_1wire9z",
		"did:plc:abc2":                                                       h,
		"at://did:plc:abc2/like/1#at://did:plc:abc2/app.bsky.feed.post/2":    "at://" + h + "/like/1#at://" + h + "/app.bsky.feed.post/2",
	} {
		require.Equal(t, want, k.Address(in))
	}
	var none *schemas.AuthorKey
	require.Equal(t, "at://did:plc:abc2/x", none.Address("at://did:plc:abc2/x"))
}
