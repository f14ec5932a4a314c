package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/connectors/kafka/kafkatest"
	"github.com/itrstream/itrstream/connectors/redis/redistest"
	"github.com/itrstream/itrstream/pipeline"
	"github.com/itrstream/itrstream/pipeline/arena/arenatest"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/schemas"
)

// said is everything that a process says: its log, at every level.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// run starts a worker that says all it can.
func (s *said) run(t *testing.T, cfg config.Config) *worker {
	t.Helper()
	log := slog.New(slog.NewJSONHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log.Debug("configuration", "config", cfg, "printed", fmt.Sprintf("%+v %#v", cfg, cfg))
	return startWith(t, cfg, log)
}

// TestRealAccess runs on a Kafka and a Redis that let nobody in without TLS
// and a password, with secrets from the environment and from files, and with
// each of them wrong. None is ever said.
func TestRealAccess(t *testing.T) {
	const redisSecret, authorSecret = "battery-staple-redis", "battery-staple-author-0123456789abcdef"
	broker := kafkatest.Start(t, kafkatest.Options{Secure: true})
	server := redistest.Start(t, redistest.Options{TLS: true, ClientCerts: true, Users: []string{
		"user default off",
		"user worker on >" + redisSecret + " ~{* +@hash +@string +@scripting +@transaction +@connection +info +del +unlink +pttl",
	}})
	file := filepath.Join(t.TempDir(), "author-key")
	require.NoError(t, os.WriteFile(file, []byte(authorSecret+"\n"), 0o600))
	plain := services{brokers: broker.Addrs(), redis: server.Addr()}
	certs := server.Certs()
	settings := []string{
		"kafka.brokers=" + broker.Secure.SASLAddr, "kafka.tls.enabled=true", "kafka.tls.ca_file=" + broker.Secure.CAFile,
		"kafka.sasl.mechanism=scram-sha-512", "kafka.sasl.username=" + kafkatest.Username, "kafka.sasl.password=" + kafkatest.Password,
		"redis.username=worker", "redis.password=" + redisSecret,
		"redis.tls.enabled=true", "redis.tls.ca_file=" + certs.CA, "redis.tls.cert_file=" + certs.Cert, "redis.tls.key_file=" + certs.Key,
		"privacy.authors=hash", "privacy.author_key_file=" + file,
	}
	all := &said{}
	cfg := configure(t, plain, tinyBundle, settings...)
	o := observe(t, plain)
	w := all.run(t, cfg)
	o.produce(oracle.NewWriter(9).Many(60)...)
	o.wait()
	w.end(t)
	o.right(o.Judge(nil, oracle.Rules{})) // Redis lets only the worker in

	errs := ""
	for wrong, want := range map[string]string{
		"kafka.sasl.password=wrong-horse":       "check kafka.sasl",
		"redis.password=wrong-staple":           "check redis.username, redis.password",
		"redis.tls.cert_file=":                  "redis.tls",
		"privacy.author_key_file=" + file + "x": "privacy.author_key_file",
	} {
		change := []string{wrong}
		if wrong == "redis.tls.cert_file=" {
			change = append(change, "redis.tls.key_file=")
		}
		refused := all.run(t, configure(t, plain, tinyBundle, append(settings, change...)...))
		select {
		case err := <-refused.done:
			require.ErrorContains(t, err, want)
			errs += err.Error() + "\n"
		case <-time.After(patience):
			require.Failf(t, "let in", wrong)
		}
	}
	text, err := cfg.YAML()
	require.NoError(t, err)
	everything := all.String() + errs + string(text)
	require.Contains(t, everything, "scram-sha-512", "the configuration is logged")
	for _, secret := range []string{kafkatest.Password, redisSecret, authorSecret, "wrong-horse", "wrong-staple"} {
		require.NotContains(t, everything, secret)
	}
}

// TestAuthorsStayInside looks for author ids in everything that leaves but
// the dead letters, which are the input's own bytes.
func TestAuthorsStayInside(t *testing.T) {
	const native, did = "author-4711-secret", "did:plc:secretsecretsecretsecret"
	key, err := schemas.NewAuthorKey("0123456789abcdef0123456789abcdef")
	require.NoError(t, err)
	picture := oracle.NewWriter(10).Image(0)
	native1, err := json.Marshal(schemas.Post{
		Schema: schemas.PostSchema, PostID: "1", AuthorID: native, Text: "hello", Media: []schemas.Media{{Data: picture}, {URL: "http://127.0.0.1:9/" + did + "/x.jpg"}},
	})
	require.NoError(t, err)
	event := func(rest string) []byte {
		return []byte(`{"did":"` + did + `","time_us":1,"kind":"commit","commit":{"collection":"app.bsky.feed.post","rkey":"3k",` + rest + `}}`)
	}
	inputs := [][2][]byte{
		{[]byte(native), native1},
		{[]byte(did), event(`"operation":"create","record":{"text":"x","reply":{"parent":{"uri":"at://` + did + `/app.bsky.feed.post/3j"}}}`)},
		{[]byte(did), event(`"operation":"delete"`)},
	}
	for name, c := range map[string]struct {
		settings []string
		author   string
	}{
		"dropped": {[]string{"privacy.authors=drop", "privacy.addresses=hash"}, ""},
		"hashed":  {[]string{"privacy.authors=hash", "privacy.addresses=hash"}, key.Hash(native)},
	} {
		t.Run(name, func(t *testing.T) {
			s := embeddedServices(t)
			cfg := configure(t, s, tinyBundle, append(c.settings, "privacy.author_key=0123456789abcdef0123456789abcdef", "cluster.bootstrap=8", "cluster.k=2")...)
			all := &said{}
			w := all.run(t, cfg)
			var records []*kgo.Record
			for range 10 { // for centroids, whose representatives are posts
				for _, in := range inputs {
					records = append(records, &kgo.Record{Topic: "posts", Key: in[0], Value: in[1]})
				}
			}
			require.NoError(t, client(t, s).ProduceSync(t.Context(), records...).FirstErr())
			var left []*kgo.Record
			next := follow(t, s, kgo.ReadCommitted(), "results", "moderation", "review", "clusters")
			results := 0
			for deadline := time.Now().Add(patience); results < len(records); {
				require.True(t, time.Now().Before(deadline), "%d of %d", results, len(records))
				for _, r := range next() {
					left = append(left, r)
					if r.Topic == "results" {
						results++
					}
				}
			}
			w.end(t)
			left = append(left, next()...)

			out := all.String() + redisDump(t, s.redis)
			for _, r := range left {
				out += fmt.Sprintf("%s %s %s %s\n", r.Topic, r.Key, r.Value, headers(r))
			}
			for _, secret := range []string{native, did, did[len("did:plc:"):], "0123456789abcdef0123456789abcdef"} {
				require.NotContains(t, out, secret)
			}
			require.Contains(t, out, "at://"+key.Hash(did)+"/app.bsky.feed.post/3k")
			if c.author == "" {
				require.NotContains(t, out, "author_id\":")
			} else {
				require.Contains(t, out, `"author_id":"`+c.author+`"`)
			}
		})
	}
}

func headers(r *kgo.Record) string {
	out := ""
	for _, h := range r.Headers {
		out += fmt.Sprintf("%s=%s ", h.Key, h.Value)
	}
	return out
}

// redisDump is every key with all it holds.
func redisDump(t *testing.T, addr string) string {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: addr})
	defer c.Close()
	keys, err := c.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.NotEmpty(t, keys)
	out := ""
	for _, key := range keys {
		kind, err := c.Type(t.Context(), key).Result()
		require.NoError(t, err)
		switch kind {
		case "hash":
			all, err := c.HGetAll(t.Context(), key).Result()
			require.NoError(t, err)
			out += fmt.Sprintln(key, all)
		case "string":
			one, err := c.Get(t.Context(), key).Result()
			require.NoError(t, err)
			out += fmt.Sprintln(key, one)
		case "list":
			all, err := c.LRange(t.Context(), key, 0, -1).Result()
			require.NoError(t, err)
			out += fmt.Sprintln(key, all)
		default:
			require.Failf(t, "a kind of key that is not searched", "%s: %s", key, kind)
		}
	}
	return out
}

// startWith is start with a log of its own.
func startWith(t *testing.T, cfg config.Config, log *slog.Logger) *worker {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &worker{stop: stop, done: make(chan error, 1), alloc: memory.NewCheckedAllocator(arenatest.Spoiler{Below: memory.NewGoAllocator()})}
	go func() { w.done <- pipeline.Run(ctx, cfg, pipeline.Settings{Log: log, Now: time.Now, Alloc: w.alloc}) }()
	return w
}
