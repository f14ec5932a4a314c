package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/stages/collect"
)

func TestCollectIsRead(t *testing.T) {
	t.Parallel()
	got, err := config.Load(write(t, `
collect:
  images: s3://images?region=eu-central-1&prefix=itr/
  dataset: file:///var/lib/dataset
  rate: 0.5
  rates:
    - {source: bluesky, lang: en, rate: 0.1}
    - {lang: de, rate: 1}
  keep:
    - {name: cats, when: pair.confidence < 0.5 && "cats" in result.langs}
  duplicates: {capacity: 0}
`), []string{"ITRSTREAM_COLLECT_NOVELTY_WEIGHT=7", "ITRSTREAM_COLLECT_DUPLICATES_IMAGE_DISTANCE=3"}, []string{"collect.timeout=500ms"})
	require.NoError(t, err)
	require.True(t, got.Collect.On())
	require.Equal(t, []collect.Rate{{Source: "bluesky", Lang: "en", Rate: 0.1}, {Lang: "de", Rate: 1}}, got.Collect.Rates)
	require.Equal(t, "cats", got.Collect.Keep[0].Name)
	require.InDelta(t, 7, got.Collect.NoveltyWeight, 0)
	require.Equal(t, 3, got.Collect.Duplicates.ImageDistance)
	require.Zero(t, got.Collect.Duplicates.Capacity)
	require.Equal(t, "500ms", got.Collect.Timeout.String())
	require.Equal(t, config.Default().Collect.HoldBytes, got.Collect.HoldBytes)
	require.False(t, config.Default().Collect.On())
}

func TestCollectFaults(t *testing.T) {
	t.Parallel()
	for want, yaml := range map[string]string{
		"collect.images: \"mem://x\": must begin with file:///":   "images: mem://x",
		"collect.dataset: given without images":                   "dataset: file:///d",
		"collect.dataset: must differ from collect.images":        "{images: file:///d, dataset: file:///d}",
		"collect.rate: 2: must be between 0 and 1":                "rate: 2",
		"collect.rates[0]: needs a source or a lang":              "rates: [{rate: 0.5}]",
		"collect.rates[0]' has invalid keys: language":            "rates: [{language: en}]",
		`collect.keep[0].when (rule "a"): line 1, column 5`:       "keep: [{name: a, when: pair.confidnce > 1}]",
		"collect.hold_bytes: 5: must be 1048576 or more":          "hold_bytes: 5",
		"collect.hold_bytes: 1048576: must be media.max_bytes":    "{images: file:///d, hold_bytes: 1048576}",
		"collect.timeout: 1ms: must be between 50ms and 30s":      "timeout: 1ms",
		"collect.shard_rows: 0: must be between":                  "shard_rows: 0",
		"collect.shard_bytes: 7: must be between":                 "shard_bytes: 7",
		"collect.shard_every: 1ms: must be between":               "shard_every: 1ms",
		"collect.duplicates.capacity: -1":                         "duplicates: {capacity: -1}",
		"topics.collected: \"results\": must differ from topics.": "}\ntopics: {collected: results",
	} {
		if yaml[0] != '{' {
			yaml = "{" + yaml + "}"
		}
		_, err := config.Load(write(t, "collect: "+yaml), nil, nil)
		require.ErrorContains(t, err, want)
	}
}

// What is collected changes the digest, where anything is; where it goes does
// not.
func TestDigestHoldsTheChoice(t *testing.T) {
	t.Parallel()
	digest := func(settings ...string) string {
		cfg, err := config.Load("", nil, settings)
		require.NoError(t, err)
		d, err := cfg.Digest("")
		require.NoError(t, err)
		return d
	}
	off, on := digest(), digest("collect.images=file:///a")
	require.NotEqual(t, off, on)
	require.Equal(t, off, digest("collect.rate=0.5"), "nothing is collected")
	require.Equal(t, on, digest("collect.images=file:///b", "collect.dataset=file:///c", "collect.hold_bytes=9000000", "collect.timeout=1s"))
	for _, changed := range []string{"collect.rate=0.5", "collect.novelty_weight=1", "collect.low_confidence_weight=0", "collect.include_sensitive=true"} {
		require.NotEqual(t, on, digest("collect.images=file:///a", changed))
	}
}
