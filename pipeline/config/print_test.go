package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/config"
)

// What is printed is what was read, but for the secrets.
func TestPrinted(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"defaults": nil,
		"others": {
			"kafka.brokers=a:1,b:2", "kafka.group=0123", "redis.addr=c:3", "topics.create=false", "shutdown.timeout=1500ms",
			"cluster.k=9", "cluster.novelty_share=0.25", "log.format=json", "privacy.authors=hash", "privacy.author_key_file=on",
		},
	} {
		want, err := config.Load("", nil, settings)
		require.NoError(t, err)
		text, err := want.YAML()
		require.NoError(t, err)
		got, err := config.Load(write(t, string(text)), nil, nil)
		require.NoError(t, err, "%s: %s", name, text)
		again, err := got.YAML()
		require.NoError(t, err)
		require.Equal(t, string(text), string(again), name)
		a, err := want.Digest("")
		if err == nil {
			b, err := got.Digest("")
			require.NoError(t, err)
			require.Equal(t, a, b, name)
		}
	}
}

func TestPrintedSecretsAreHidden(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{
		"kafka.sasl.password": "kafka-hunter2", "redis.password": "redis-hunter2", "privacy.author_key": "author-hunter2-0123456789abcdef0123456789",
	}
	settings := []string{"kafka.sasl.mechanism=plain", "kafka.sasl.username=u", "redis.username=u", "privacy.authors=hash"}
	for key, secret := range secrets {
		settings = append(settings, key+"="+secret)
	}
	cfg, err := config.Load("", nil, settings)
	require.NoError(t, err)
	text, err := cfg.YAML()
	require.NoError(t, err)
	require.NotContains(t, string(text), "hunter2")
	require.Equal(t, len(secrets), strings.Count(string(text), `"(hidden)"`))
	printed, err := config.Load(write(t, string(text)), nil, nil)
	require.NoError(t, err)
	_, err = printed.Privacy.Key()
	require.ErrorContains(t, err, "printouts", "the placeholder is no secret")

	// Whatever is called a secret in the reference must be one here.
	keys, err := config.Keys()
	require.NoError(t, err)
	for _, key := range keys {
		if name := key[strings.LastIndexByte(key, '.')+1:]; name == "password" || name == "author_key" || strings.Contains(name, "secret") || strings.Contains(name, "token") {
			require.Contains(t, secrets, key, "a new secret: plant it here")
		}
	}
}
