package assets

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "golang.org/x/image/webp"

	"github.com/itrstream/itrstream/schemas"
)

// sample makes the messages once for all tests: under the race detector they take a while.
var sample = sync.OnceValues(Posts)

// What the demo promises: enough posts, every relation, updates and deletes
// of posts that exist, and messages of each kind of outcome.
func TestPostsCoverTheDemo(t *testing.T) {
	t.Parallel()
	messages, err := sample()
	require.NoError(t, err)
	expected, outcomes, relations := map[string]int{}, map[Outcome]int{}, map[string]string{}
	var updates, multi, textOnly int
	langs := map[string]bool{}
	for _, m := range messages {
		expected[m.Expected]++
		outcomes[m.Outcome]++
		require.Equal(t, m.Name, string(m.Key))
		if m.Outcome == DeadLetter {
			continue
		}
		var p schemas.Post
		require.NoError(t, json.Unmarshal(m.Value, &p), m.Name)
		require.Equal(t, m.Name, p.PostID)
		for _, l := range p.Langs {
			langs[l] = true
		}
		before, known := relations[p.PostID]
		switch p.Op {
		case schemas.OpDelete:
			assert.True(t, known, "%s is deleted before it is posted", m.Name)
		case schemas.OpUpdate:
			updates++
			assert.Equal(t, before, m.Expected, "%s is updated to another relation, which the demo's comparison by post id can't tell", m.Name)
		default:
			assert.False(t, known, "%s is created twice", m.Name)
		}
		relations[p.PostID] = m.Expected
		if len(p.Media) > 1 {
			multi++
		}
		if len(p.Media) == 0 && p.Op != schemas.OpDelete {
			textOnly++
			assert.Empty(t, m.Expected, "%s has no image to relate to", m.Name)
		}
	}
	for _, name := range schemas.RelationNames() {
		assert.GreaterOrEqual(t, expected[name], 40, "posts of relation %s", name)
		delete(expected, name)
	}
	delete(expected, "")
	assert.Empty(t, expected, "relations that do not exist")
	assert.GreaterOrEqual(t, outcomes[Result], 220)
	assert.GreaterOrEqual(t, outcomes[Tombstone], 1)
	assert.GreaterOrEqual(t, outcomes[DeadLetter], 6)
	assert.GreaterOrEqual(t, len(langs), 8)
	assert.GreaterOrEqual(t, updates, 3)
	assert.GreaterOrEqual(t, multi, 8)
	assert.GreaterOrEqual(t, textOnly, 3)
}

func TestEveryImageIsUsedAndDecodes(t *testing.T) {
	t.Parallel()
	messages, err := sample()
	require.NoError(t, err)
	used := map[[32]byte]bool{}
	for _, m := range messages {
		var p schemas.Post
		if m.Outcome != Result || json.Unmarshal(m.Value, &p) != nil {
			continue
		}
		for _, media := range p.Media {
			used[sha256.Sum256(media.Data)] = true
		}
	}
	files, err := images.ReadDir("images")
	require.NoError(t, err)
	formats, total := map[string]int{}, 0
	distinct := map[[32]byte]bool{}
	for _, f := range files {
		data, err := images.ReadFile("images/" + f.Name())
		require.NoError(t, err)
		digest := sha256.Sum256(data)
		assert.True(t, used[digest], "no post shows %s", f.Name())
		distinct[digest] = true
		total += len(data)
		assert.LessOrEqual(t, len(data), 150_000, f.Name())
		pic, format, err := image.Decode(bytes.NewReader(data))
		require.NoError(t, err, f.Name())
		formats[format]++
		assert.GreaterOrEqual(t, pic.Bounds().Dx(), 200, f.Name())
	}
	assert.GreaterOrEqual(t, len(distinct), 30)
	assert.LessOrEqual(t, total, 2_500_000)
	for _, format := range []string{"gif", "jpeg", "png", "webp"} {
		assert.Positive(t, formats[format], "images in %s", format)
	}
}

// Each broken message is broken in its own way, and only in that.
func TestBrokenMessages(t *testing.T) {
	t.Parallel()
	messages, err := sample()
	require.NoError(t, err)
	byName := map[string]Message{}
	for _, m := range messages {
		byName[m.Name] = m
	}
	post := func(name string) schemas.Post {
		var p schemas.Post
		require.NoError(t, json.Unmarshal(byName[name].Value, &p), name)
		require.NotEmpty(t, p.Media, name)
		assert.Equal(t, DeadLetter, byName[name].Outcome, name)
		return p
	}
	assert.False(t, json.Valid(byName["bad-json"].Value))
	assert.Equal(t, DeadLetter, byName["bad-json"].Outcome)
	assert.Equal(t, "post.v9", post("bad-schema").Schema)
	assert.Contains(t, post("bad-loopback").Media[0].URL, "//127.0.0.1/")
	assert.Contains(t, post("bad-metadata").Media[0].URL, "//169.254.169.254/")

	_, _, err = image.Decode(bytes.NewReader(post("bad-junk").Media[0].Data))
	require.ErrorIs(t, err, image.ErrFormat)
	cut := post("bad-cut-jpeg").Media[0].Data
	_, format, err := image.DecodeConfig(bytes.NewReader(cut))
	require.NoError(t, err, "the header must survive the cut")
	assert.Equal(t, "jpeg", format)
	_, _, err = image.Decode(bytes.NewReader(cut))
	require.Error(t, err)

	big := post("bad-bomb").Media[0].Data
	assert.Less(t, len(big), 200_000)
	header, _, err := image.DecodeConfig(bytes.NewReader(big))
	require.NoError(t, err)
	assert.Equal(t, bombSide*bombSide, header.Width*header.Height)

	half := byName["half-bad"]
	assert.Equal(t, Result, half.Outcome, "one good image of two is enough for a result")
}

func TestPostsAreTheSameEachTime(t *testing.T) {
	t.Parallel()
	one, err := sample()
	require.NoError(t, err)
	two, err := Posts()
	require.NoError(t, err)
	assert.True(t, slices.EqualFunc(one, two, func(a, b Message) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) }))
}

// README.md has one table row for each image, with its licence.
func TestEveryImageHasALicence(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	licences := map[string]string{}
	for line := range strings.Lines(string(readme)) {
		cells := strings.Split(line, "|")
		if len(cells) == 6 && strings.Contains(cells[1], "`") {
			licences[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[3])
		}
	}
	files, err := images.ReadDir("images")
	require.NoError(t, err)
	for _, f := range files {
		assert.Contains(t, []string{"public domain", "CC0"}, licences[f.Name()], "licence of %s in README.md", f.Name())
		delete(licences, f.Name())
	}
	assert.Empty(t, licences, "README.md lists images that are not there")
}
