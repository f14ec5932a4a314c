package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/config"
)

func TestCollectionNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("collection.md")
	require.NoError(t, err)
	checkTests(t, doc)
}

func TestCollectionShowsConfigurationsThatLoad(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("collection.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllSubmatch(doc, -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		file := filepath.Join(t.TempDir(), "itrstream.yaml")
		require.NoError(t, os.WriteFile(file, block[1], 0o600))
		cfg, err := config.Load(file, nil, nil)
		require.NoError(t, err, "%s", block[1])
		require.True(t, cfg.Collect.On())
	}
}
