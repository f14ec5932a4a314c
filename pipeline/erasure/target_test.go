package erasure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
)

const secret = "0123456789abcdef0123456789abcdef"

func TestTargets(t *testing.T) {
	t.Parallel()
	key, err := schemas.NewAuthorKey(secret)
	require.NoError(t, err)
	const did, uri = "did:plc:abc", "at://did:plc:abc/app.bsky.feed.post/3k"
	hash := key.Hash(did)
	keeping := config.Privacy{Authors: config.Drop, Addresses: config.Keep}
	hashing := config.Privacy{Authors: config.Hash, AuthorKey: secret}
	named := config.Privacy{Authors: config.Hash, Addresses: config.Keep, AuthorKey: secret}
	for name, c := range map[string]struct {
		privacy   config.Privacy
		options   Options
		posts     []string
		author    string
		fault     string
		owns, not []string
	}{
		"a post":           {keeping, Options{Subject: uri}, []string{uri}, "", "", []string{uri}, []string{uri + "x"}},
		"a hashed post":    {hashing, Options{Subject: uri}, []string{"at://" + hash + "/app.bsky.feed.post/3k", uri}, "", "", []string{uri, "at://" + hash + "/app.bsky.feed.post/3k"}, nil},
		"as results say":   {hashing, Options{Subject: "at://" + hash + "/a/3k"}, []string{"at://" + hash + "/a/3k"}, "", "", nil, []string{uri}},
		"a number":         {hashing, Options{Subject: "4711"}, []string{"4711"}, "", "", nil, nil},
		"an author":        {hashing, Options{Author: did}, nil, hash, "", []string{"at://" + hash + "/app.bsky.feed.post/9", uri}, []string{"at://" + hash + "x/a/1", did, hash}},
		"a hashed author":  {named, Options{Author: hash}, nil, hash, "", []string{"at://" + hash + "/a/9"}, []string{uri}},
		"of another key":   {hashing, Options{Author: "hmac-sha256:00000000:x"}, nil, "", "another key", nil, nil},
		"authors dropped":  {keeping, Options{Author: did}, nil, "", "privacy.authors is drop", nil, nil},
		"nobody":           {hashing, Options{Media: true}, nil, "", "one of the two", nil, nil},
		"both":             {hashing, Options{Subject: "a", Author: "b"}, nil, "", "one of the two", nil, nil},
		"a key that's bad": {config.Privacy{Authors: config.Hash, AuthorKey: "short"}, Options{Author: did}, nil, "", "privacy.author_key", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newTarget(c.options, c.privacy)
			if c.fault != "" {
				require.ErrorContains(t, err, c.fault)
				require.NotContains(t, err.Error(), secret)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.posts, got.posts)
			require.Equal(t, c.author, got.author)
			for _, post := range c.owns {
				require.True(t, got.owns(post), post)
			}
			for _, post := range c.not {
				require.False(t, got.owns(post), post)
			}
			for _, r := range got.takedowns() {
				require.NoError(t, r.Check())
			}
			row := dataset.Row{Collected: schemas.Collected{PostID: "other", AuthorID: "other"}}
			require.False(t, got.covers(&row))
			row.Collected.AuthorID = c.author
			if c.author == "" {
				row.Collected.PostID = c.posts[0]
			}
			require.True(t, got.covers(&row))
		})
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for want, r := range map[string]kafka.Retention{
		"7 days after each was written (retention.ms), when its segment is deleted":                                                           {Age: 7 * day, Deleted: true},
		"1h30m0s after each was written (retention.ms), when its segment is deleted":                                                          {Age: 90 * time.Minute, Deleted: true},
		"until 5 newer bytes of a partition displace them (retention.bytes)":                                                                  {Bytes: 5, Deleted: true},
		"for ever (retention.ms is -1)":                                                                                                       {Deleted: true},
		"until compaction, after a newer record of the same key":                                                                              {Age: day, Compacted: true},
		"a day after each was written (retention.ms), when its segment is deleted, or until compaction, after a newer record of the same key": {Age: day, Compacted: true, Deleted: true},
	} {
		require.Equal(t, want, until(r))
	}
}
