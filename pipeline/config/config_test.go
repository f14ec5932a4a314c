package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/viper"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/stages/decide"
)

func write(t *testing.T, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "itrstream.yaml")
	require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
	return path
}

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	got, err := config.Load("", nil, nil)
	require.NoError(t, err)
	require.Equal(t, config.Default(), got)
}

func TestFileEnvironmentAndSettingsInThatOrder(t *testing.T) {
	t.Parallel()
	path := write(t, `
kafka:
  brokers: [a:1, b:2]
  group: file
  session_timeout: 45s
topics:
  posts: [one, two]
cluster:
  k: 12
  namespace: mine
decide:
  rules:
    - name: only
      when: result.confidence < 0.5
      topic: review
`)
	got, err := config.Load(path,
		[]string{"ITRSTREAM_KAFKA_GROUP=environment", "ITRSTREAM_KAFKA_CLIENT_ID=here", "ITRSTREAM_TOPICS_POSTS=x,y", "PATH=/bin"},
		[]string{"kafka.client_id=flag", "batch.max_rows=7", "fetch.ports=80,8080"})
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2"}, got.Kafka.Brokers)
	require.Equal(t, "environment", got.Kafka.Group)
	require.Equal(t, "flag", got.Kafka.ClientID)
	require.Equal(t, 45*time.Second, got.Kafka.SessionTimeout)
	require.Equal(t, []string{"x", "y"}, got.Topics.Posts)
	require.Equal(t, 7, got.Batch.MaxRows)
	require.Equal(t, []int{80, 8080}, got.Fetch.Ports)
	require.Equal(t, 12, got.Cluster.K)
	require.Equal(t, "mine", got.Namespace())
	require.Equal(t, []decide.Rule{{Name: "only", When: "result.confidence < 0.5", Topic: "review"}}, got.Decide.Rules)
	require.Equal(t, config.Default().Redis, got.Redis, "what is not set stays")
}

func TestNoRulesIsNotTheDefaultRules(t *testing.T) {
	t.Parallel()
	got, err := config.Load(write(t, "decide: {rules: []}"), nil, nil)
	require.NoError(t, err)
	require.Empty(t, got.Decide.Rules)
}

func TestFaultsNameKeyValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		yaml    string
		environ []string
		set     []string
		want    []string
	}{
		"unknown key":           {yaml: "kafka: {broker: [a:1]}", want: []string{"kafka.broker", "unknown key", "brokers"}},
		"unknown section":       {yaml: "kafak: {brokers: [a:1]}", want: []string{"kafak.brokers", "unknown key"}},
		"unknown key in a rule": {yaml: "decide: {rules: [{name: x, if: 'true'}]}", want: []string{"decide.rules[0]", "if"}},
		"unknown variable":      {environ: []string{"ITRSTREAM_KAFKA_BROKER=a:1"}, want: []string{"ITRSTREAM_KAFKA_BROKER"}},
		"unknown setting":       {set: []string{"nope.key=1"}, want: []string{"nope.key", "unknown key"}},
		"setting without value": {set: []string{"kafka.group"}, want: []string{"kafka.group", "key=value"}},
		"setting a section":     {set: []string{"kafka=1"}, want: []string{"kafka", "section"}},
		"not a number":          {yaml: "cluster: {k: many}", want: []string{"cluster.k", "many"}},
		"not a duration":        {yaml: "shutdown: {timeout: soon}", want: []string{"shutdown.timeout", "soon", "20s"}},
		"octal for a name":      {yaml: "kafka: {group: 0123}", want: []string{"kafka.group", "quotes"}},
		"a number for a secret": {yaml: "redis: {password: 4711}", want: []string{"redis.password", "quotes"}},
		"half a row":            {yaml: "batch: {max_rows: 1.5}", want: []string{"batch.max_rows", "1.5", "whole"}},
		"a bare duration":       {yaml: "infer: {max_wait: 5}", want: []string{"infer.max_wait", "5 is no duration", "20s"}},
		"a number for a flag":   {yaml: "topics: {create: 2}", want: []string{"topics.create", "true or false"}},
		"too long a shutdown":   {yaml: "shutdown: {timeout: 10m}", want: []string{"shutdown.timeout", "kafka.rebalance_timeout"}},
		"bad level":             {yaml: "log: {level: loud}", want: []string{"log.level", "loud", "debug, info, warn, error"}},
		"bad device":            {yaml: "model: {device: gpu}", want: []string{"model.device", "gpu", "cuda:N"}},
		"same topic twice":      {yaml: "topics: {results: same, review: same}", want: []string{"topics.review", "same", "topics.results"}},
		"not YAML":              {yaml: "a: [", want: []string{"itrstream.yaml"}},
		"a rule that cannot be": {yaml: "decide: {rules: [{name: x, when: result.confidnce > 1}]}", want: []string{"decide.rules[0]", "confidnce"}},
		"several at once": {
			yaml: "batch: {max_rows: 0}\nqueue: {max_batches: 0}\ntopics: {posts: []}",
			want: []string{"batch.max_rows", "queue.max_batches", "topics.posts"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := ""
			if c.yaml != "" {
				path = write(t, c.yaml)
			}
			_, err := config.Load(path, c.environ, c.set)
			require.Error(t, err)
			for _, want := range c.want {
				require.Contains(t, err.Error(), want)
			}
		})
	}
}

func TestVariablesOfKubernetesServicesAreNoKeys(t *testing.T) {
	t.Parallel()
	_, err := config.Load("", []string{
		"ITRSTREAM_SERVICE_HOST=10.0.0.1", "ITRSTREAM_SERVICE_PORT_HTTP=80", "ITRSTREAM_PORT=tcp://10.0.0.1:80",
		"ITRSTREAM_PORT_80_TCP_ADDR=10.0.0.1", "ITRSTREAM_OPS_SERVICE_HOST=10.0.0.2", "ITRSTREAM_ONNXRUNTIME=/lib/x.so",
	}, nil)
	require.NoError(t, err)
}

func TestPasswordsFromTheEnvironment(t *testing.T) {
	t.Parallel()
	got, err := config.Load("", []string{
		"ITRSTREAM_KAFKA_SASL_MECHANISM=plain", "ITRSTREAM_KAFKA_SASL_USERNAME=u", "ITRSTREAM_KAFKA_SASL_PASSWORD=p=,w",
	}, nil)
	require.NoError(t, err)
	require.Equal(t, "p=,w", string(got.Kafka.SASL.Password))
}

func TestDigestIsOfWhatDecides(t *testing.T) {
	t.Parallel()
	digest := func(settings ...string) string {
		c, err := config.Load("", nil, settings)
		require.NoError(t, err)
		d, err := c.Digest("")
		require.NoError(t, err)
		return d
	}
	base := digest()
	require.Len(t, base, 64)
	require.Equal(t, base, digest("kafka.group=other", "redis.password=secret", "redis.username=u", "queue.max_batches=3", "infer.max_batch=4"))
	for _, decides := range []string{"decode.max_images=3", "media.max_pixels=1000", "cluster.k=9"} {
		require.NotEqual(t, base, digest(decides), decides)
	}
	draft := config.Default()
	draft.Media.Draft = true
	drafted, err := draft.Digest("")
	require.NoError(t, err)
	require.NotEqual(t, base, drafted)
	// Rules see the hashes of author ids, so a replay needs the same key.
	one, other := "privacy.author_key="+strings.Repeat("1", 32), "privacy.author_key="+strings.Repeat("2", 32)
	require.NotEqual(t, base, digest("privacy.authors=hash", one))
	require.NotEqual(t, digest("privacy.authors=hash", one), digest("privacy.authors=hash", other))
	require.Equal(t, digest("privacy.authors=hash", one), digest("privacy.authors=hash", one))
}

func TestEveryKeyHasAVariable(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ITRSTREAM_KAFKA_TLS_CA_FILE", config.Variable("kafka.tls.ca_file"))
	require.False(t, strings.Contains(config.Variable("a.b_c"), "."))
}

func TestReferenceListsEveryKeyWithItsDefault(t *testing.T) {
	t.Parallel()
	got, err := config.Load("reference.yaml", nil, nil)
	require.NoError(t, err)
	// An empty list in a file is a list; that it is empty is what matters.
	want := config.Default()
	want.Kafka.Brokers, want.Fetch.AllowNetworks, want.Fetch.DenyNetworks = []string{}, []string{}, []string{}
	require.Equal(t, want, got)

	file := viper.New()
	file.SetConfigFile("reference.yaml")
	require.NoError(t, file.ReadInConfig())
	keys, err := config.Keys()
	require.NoError(t, err)
	require.ElementsMatch(t, keys, file.AllKeys())
}

func TestHashingNeedsAKey(t *testing.T) {
	t.Parallel()
	load := func(settings ...string) (config.Config, error) { return config.Load("", nil, settings) }
	for _, needs := range []string{"privacy.authors=hash", "privacy.addresses=hash"} {
		_, err := load(needs)
		require.ErrorContains(t, err, "privacy.author_key: missing")
		require.ErrorContains(t, err, "openssl rand -hex 32")
	}
	for setting, hashed := range map[string]bool{
		"privacy.authors=drop": false, "privacy.authors=hash": true, "privacy.authors=hash privacy.addresses=keep": false,
		"privacy.authors=drop privacy.addresses=hash": true,
	} {
		settings := strings.Fields(setting)
		if strings.Contains(setting, "hash") {
			settings = append(settings, "privacy.author_key="+strings.Repeat("1", 32))
		}
		got, err := load(settings...)
		require.NoError(t, err, setting)
		require.Equal(t, hashed, got.Privacy.HashesAddresses(), setting)
	}
	_, err := load("privacy.author_key=" + strings.Repeat("1", 32))
	require.ErrorContains(t, err, "nothing is hashed")
	_, err = load("privacy.authors=plain", "privacy.addresses=plain")
	require.ErrorContains(t, err, `privacy.authors: "plain"`)
	require.ErrorContains(t, err, `privacy.addresses: "plain"`)

	short, err := load("privacy.authors=hash", "privacy.author_key=hunter2")
	require.NoError(t, err)
	_, err = short.Digest("")
	require.ErrorContains(t, err, "privacy.author_key: has 7 bytes")
	require.NotContains(t, err.Error(), "hunter2")
	missing, err := load("privacy.authors=hash", "privacy.author_key_file=no-such-file")
	require.NoError(t, err)
	_, err = missing.Privacy.Key()
	require.ErrorContains(t, err, "privacy.author_key_file")
	file, err := load("privacy.authors=hash", "privacy.author_key_file="+write(t, strings.Repeat("1", 32)+"\n"))
	require.NoError(t, err)
	inline, err := load("privacy.authors=hash", "privacy.author_key="+strings.Repeat("1", 32))
	require.NoError(t, err)
	a, err := file.Privacy.Key()
	require.NoError(t, err)
	b, err := inline.Privacy.Key()
	require.NoError(t, err)
	require.Equal(t, a.Hash("x"), b.Hash("x"))
}

func TestNoSecretInErrors(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"kafka.sasl.pasword=hunter2", "redis.pasword=hunter2", "redis.password:hunter2"} {
		_, err := config.Load("", nil, []string{set})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := config.Load(write(t, "redis: {password: 4711}"), nil, nil)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "4711")
}
