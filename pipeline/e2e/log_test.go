package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/schemas"
)

// secret is in everything that must not be in the log.
const secret = "Hush7Hush"

// telling are records of all kinds, good and bad, that hold the secret
// wherever they may hold anything.
func telling(host string) []*kgo.Record {
	image := base64.StdEncoding.EncodeToString(oracle.NewWriter(1).Image(0))
	object := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	post := func(more map[string]any) string {
		p := map[string]any{
			"schema": "post.v1", "source": "s-" + secret, "post_id": "id-" + secret, "author_id": "author-" + secret, "text": "text " + secret,
			"langs": []string{"en-" + secret}, "parent_id": secret, "license": secret,
			"provenance": map[string]string{"uri": "https://example.org/" + secret, "version": secret},
		}
		for k, v := range more {
			p[k] = v
		}
		return object(p)
	}
	media := func(m map[string]any) map[string]any {
		m["alt"] = "alt " + secret
		return map[string]any{"media": []any{m}}
	}
	at := func(path string) map[string]any { return media(map[string]any{"url": host + path + "?q=" + secret}) }
	values := []string{
		post(nil),
		post(media(map[string]any{"data": image})),
		post(at("/image")), post(at("/moved")), post(at("/gone")), post(at("/broken")), post(at("/nonsense")),
		post(media(map[string]any{"url": "http://10.0.0.1/" + secret})),
		post(media(map[string]any{"url": "http://user:" + secret + "@10.0.0.1/"})),
		post(media(map[string]any{"url": secret + "://" + secret})),
		post(media(map[string]any{"url": "http://" + secret + ".invalid/"})),
		post(media(map[string]any{"data": secret + "!!"})),
		post(media(map[string]any{"data": base64.StdEncoding.EncodeToString([]byte("\xff\xd8\xff" + secret))})),
		post(media(map[string]any{"data": base64.StdEncoding.EncodeToString([]byte(secret))})),
		post(map[string]any{"text": strings.Repeat(secret, 20_000)}),
		post(map[string]any{"op": secret}), post(map[string]any{"created_at": secret}), post(map[string]any{"schema": secret}),
		post(map[string]any{"op": "delete"}),
		object(map[string]any{"did": "did:plc:" + secret, "kind": "commit", "commit": map[string]any{"operation": "create", "collection": secret}}),
		object(map[string]any{"did": secret, "kind": secret}),
		secret, `{"schema":"post.v1","text":"` + secret, `["` + secret + `"]`,
		strings.Repeat(secret, 100_000),
	}
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{
			Topic: "posts", Key: []byte("key-" + secret), Value: []byte(v),
			Headers: []kgo.RecordHeader{{Key: "h-" + secret, Value: []byte(secret)}, {Key: "traceparent", Value: []byte(secret)}},
		})
	}
	return append(records, &kgo.Record{Topic: "posts", Key: []byte(secret)}) // a delete, as some write it
}

// TestTheLogHoldsNoPostsAndNoSecrets searches the whole log, down to debug, for
// what posts and the configuration's secrets hold.
func TestTheLogHoldsNoPostsAndNoSecrets(t *testing.T) {
	s := embeddedServices(t)
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/image":
			_, _ = w.Write(oracle.NewWriter(1).Image(1))
		case "/moved":
			http.Redirect(w, r, "/image/"+secret, http.StatusFound)
		case "/nonsense":
			_, _ = fmt.Fprint(w, secret)
		case "/broken":
			panic(http.ErrAbortHandler)
		default:
			http.Error(w, secret, http.StatusNotFound)
		}
	}))
	defer host.Close()
	at, err := url.Parse(host.URL)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "itrstream.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
decide:
  rules:
    - {name: fails, when: 'result.pairs[0].relation == "both"', topic: review}
    - {name: all, when: 'true', topic: moderation}
collect:
  images: file://`+t.TempDir()+`
  rate: 1
  keep:
    - {name: fails, when: 'pair.cluster == "x"'}
`), 0o600))
	cfg, err := config.Load(file, nil, settingsOf(s, tinyBundle, "ops.addr=127.0.0.1:0", "topics.partitions=1", "batch.max_rows=4",
		"privacy.authors=hash", "privacy.author_key="+secret+strings.Repeat("-", 32), "privacy.addresses=hash",
		"fetch.allow_networks=127.0.0.0/8", "fetch.ports="+at.Port(), "fetch.host_failures=1", "fetch.host_pause=1ms", "fetch.max_retries=0",
		"kafka.record_max_bytes=524288", "decode.max_message_bytes=262144", "log.level=debug"))
	require.NoError(t, err)
	w := startObserved(t.Context(), t, cfg)
	records := telling(host.URL)
	require.NoError(t, client(t, s).ProduceSync(t.Context(), records...).FirstErr())
	results := follow(t, s, kgo.ReadCommitted(), "results", "deadletter")
	outcomes := map[string]int{}
	for n := 0; n < len(records); {
		for _, r := range results() {
			outcomes[r.Topic]++
			if header(r, schemas.HeaderReason) != "" {
				outcomes[header(r, schemas.HeaderReason)]++
			}
			n++
		}
	}
	w.end(t)

	require.GreaterOrEqual(t, outcomes["results"], 5, "%v", outcomes)
	for _, reason := range []schemas.Reason{
		schemas.ReasonMalformed, schemas.ReasonSchemaUnknown, schemas.ReasonTooLarge, schemas.ReasonNotAPost, schemas.ReasonMediaFailed,
	} {
		require.Positive(t, outcomes[string(reason)], "%s: %v", reason, outcomes)
	}
	log := w.log.String()
	for _, line := range []string{"a media host keeps failing", "a record over record_max_bytes is cut", "batch committed"} {
		require.Contains(t, log, line, "the paths that say something are taken")
	}
	for line := range strings.Lines(log) {
		require.NotContains(t, strings.ToLower(line), strings.ToLower(secret))
	}
	committed := regexp.MustCompile(`level=DEBUG msg="batch committed" topic=posts partition=0 stage=emit offsets=\[\d+,\d+\) posts=\d+ pairs=\d+ after=\S+\n`)
	require.True(t, committed.MatchString(log), "stage, topic, partition and offsets")
}
