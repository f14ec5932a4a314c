package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// collection is what lies in the collected topic.
type collection struct {
	rows      map[string]*schemas.Collected // by result id and pair
	repeated  int
	takedowns []string // post ids
	// late are rows that stand behind a takedown of their post in its
	// partition: of a post that came again.
	late map[string]bool
}

func pairName(resultID string, pair int) string { return fmt.Sprintf("%s/%d", resultID, pair) }

// collected reads all that committed readers see.
func collected(t *testing.T, s services) collection {
	t.Helper()
	c := collection{rows: make(map[string]*schemas.Collected), late: make(map[string]bool)}
	gone := make(map[string]bool)
	for _, r := range all(t, s, kgo.ReadCommitted(), "collected") {
		row, takedown, err := schemas.ReadCollection(r.Value)
		require.NoError(t, err)
		if takedown != nil {
			require.Equal(t, takedown.PostID, string(r.Key))
			c.takedowns = append(c.takedowns, takedown.PostID)
			gone[takedown.PostID] = true
			continue
		}
		require.Equal(t, row.PostID, string(r.Key), "so that a takedown comes behind")
		name := pairName(row.ResultID, row.Pair)
		if c.rows[name] != nil {
			c.repeated++
		}
		c.rows[name], c.late[name] = row, gone[row.PostID]
	}
	return c
}

// all reads topics until nothing more comes.
func all(t *testing.T, s services, isolation kgo.IsolationLevel, topics ...string) []*kgo.Record {
	t.Helper()
	next := follow(t, s, isolation, topics...)
	var records []*kgo.Record
	for calm := 0; calm < 5; calm++ {
		if got := next(); len(got) > 0 {
			records, calm = append(records, got...), 0
		}
	}
	return records
}

// labels are the results, the last of each id.
func labels(t *testing.T, s services) (results map[string]schemas.Result, deleted []string) {
	t.Helper()
	results = make(map[string]schemas.Result)
	for _, r := range all(t, s, kgo.ReadCommitted(), "results") {
		if r.Value == nil {
			deleted = append(deleted, string(r.Key))
			continue
		}
		var result schemas.Result
		require.NoError(t, json.Unmarshal(r.Value, &result))
		results[result.ResultID] = result
	}
	return results, deleted
}

// chance is what pipeline/docs/collection.md says, once more.
func chance(c config.Collect, p schemas.Pair) float64 {
	novel := 0.
	if p.Novel != nil && *p.Novel {
		novel = 1
	}
	return min(1, c.Rate*(1+c.LowConfidenceWeight*(1-p.Confidence)+c.NoveltyWeight*novel))
}

// drawn is the pair's own number.
func drawn(resultID string, pair int) float64 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32([]byte("collect"+resultID), uint32(pair)))
	return float64(binary.BigEndian.Uint64(sum[:8])) / (1 << 64)
}

// agree holds the collected topic and the image store against the results.
// out are posts of which nothing may be collected.
func (c collection) agree(t *testing.T, cfg config.Config, results map[string]schemas.Result, out map[string]bool) {
	t.Helper()
	want := make(map[string]bool)
	for id, r := range results {
		for _, p := range r.Pairs {
			if p.Failure == "" && !out[r.PostID] && drawn(id, p.Index) < chance(cfg.Collect, p) {
				want[pairName(id, p.Index)] = true
			}
		}
	}
	for name := range want {
		require.Contains(t, c.rows, name, "it should be collected")
	}
	digests := make(map[string]bool)
	for name, row := range c.rows {
		require.True(t, want[name], "%s should not be collected: %+v", name, row)
		r := results[row.ResultID]
		p := r.Pairs[slices.IndexFunc(r.Pairs, func(p schemas.Pair) bool { return p.Index == row.Pair })]
		require.InDelta(t, chance(cfg.Collect, p), row.Selected.Probability, 1e-12)
		require.Equal(t, schemas.Collected{
			Schema: schemas.CollectedSchema, ResultID: r.ResultID, Pair: p.Index, PostID: r.PostID, Source: r.Source, AuthorID: r.AuthorID,
			CreatedAt: r.CreatedAt, Langs: r.Langs, Sensitive: r.Sensitive, Text: r.Text, Alt: p.Alt, URI: r.URI,
			Relation: p.Relation, Scores: [4]float64{p.Scores.Neither, p.Scores.ImageAdds, p.Scores.TextRepresented, p.Scores.Both},
			TextIsRepresented: *p.TextIsRepresented, ImageAdds: *p.ImageAdds, Similarity: *p.Similarity, Cluster: p.Cluster, Novel: p.Novel,
			Model: r.Model, ConfigDigest: r.ConfigDigest, Input: r.Input,
			// Of these the result knows nothing.
			License: row.License, Image: row.Image, Selected: row.Selected, CollectedAt: row.CollectedAt,
		}, *row)
		require.Equal(t, p.Digest, row.Image.Digest)
		digests[p.Digest] = true
	}
	dir := strings.TrimPrefix(cfg.Collect.Images, "file://")
	found := make(map[string]bool)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		sum := sha256.Sum256(data)
		require.Equal(t, hex.EncodeToString(sum[:]), d.Name(), "nothing but whole images")
		found[d.Name()] = true
		return nil
	}))
	require.Equal(t, digests, found, "the images of the rows, and no others")
	for _, row := range c.rows {
		info, err := os.Stat(filepath.Join(dir, row.Image.Digest[:2], row.Image.Digest))
		require.NoError(t, err)
		require.Equal(t, info.Size(), row.Image.Bytes)
	}
}

// posted makes a post of its JSON members.
func posted(id, members string, images int) *oracle.Post {
	p := &oracle.Post{
		Key: []byte(id), Post: id, Outcome: schemas.OutcomeResult,
		Value: fmt.Appendf(nil, `{"schema":"post.v1","post_id":%q,"text":"a post of its own",%s}`, id, members),
	}
	for i := range images {
		p.Images = append(p.Images, i)
	}
	return p
}

// collecting runs posts of all kinds, and some that must be left out, through
// the pipeline.
func collecting(t *testing.T, s services, settings ...string) {
	t.Helper()
	cfg := configure(t, s, tinyBundle, append([]string{"collect.images=file://" + t.TempDir(), "collect.rate=0.2"}, settings...)...)
	o := observe(t, s)
	w := start(t, cfg)
	writer := oracle.NewWriter(31)
	o.produce(writer.Many(400)...)
	picture := writer.Image(3)
	plain := base64.StdEncoding.EncodeToString(picture)
	// Behind the end of a picture nobody looks, but for such words.
	reserved := base64.StdEncoding.EncodeToString(append(slices.Clone(picture), "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"...))
	out := make(map[string]bool)
	for i := range 30 {
		for kind, members := range map[string]string{
			"sensitive": `"sensitive":true,"media":[{"data":"` + plain + `"}]`,
			"noai":      `"opt_outs":["noai"],"media":[{"data":"` + plain + `"}]`,
			"reserved":  `"media":[{"data":"` + reserved + `"}]`,
		} {
			id := fmt.Sprintf("%s-%d", kind, i)
			out[id] = true
			o.produce(posted(id, members, 1))
		}
		o.produce(posted(fmt.Sprintf("free-%d", i), `"license":"CC0-1.0","sensitive":false,"langs":["en"],"media":[{"data":"`+plain+`","alt":"`+fmt.Sprint(i)+`"},{"data":"`+plain+`"}]`, 2))
	}
	for i := range 10 {
		o.produce(&oracle.Post{
			Key: fmt.Appendf(nil, "free-%d", i), Post: fmt.Sprintf("free-%d", i), Outcome: schemas.OutcomeTombstone,
			Value: fmt.Appendf(nil, `{"schema":"post.v1","op":"delete","post_id":"free-%d"}`, i),
		})
	}
	o.wait()
	w.end(t)
	made(t, o.judge(cfg, oracle.Rules{}))

	results, deleted := labels(t, s)
	c := collected(t, s)
	require.Zero(t, c.repeated)
	require.Greater(t, len(c.rows), 60)
	c.agree(t, cfg, results, out)
	require.ElementsMatch(t, deleted, c.takedowns, "each delete is a takedown, too")
	reasons := make(map[string]int)
	for name, row := range c.rows {
		reasons[row.Selected.Reason]++
		if strings.HasPrefix(row.PostID, "free-") {
			require.Equal(t, "CC0-1.0", row.License)
			require.False(t, c.late[name], "posts come in order")
		}
	}
	require.Positive(t, reasons["rate"])
	require.Positive(t, reasons["novel"], "%v", reasons)
}

func TestCollectedEmbedded(t *testing.T) { collecting(t, embeddedServices(t)) }
func TestRealCollected(t *testing.T)     { collecting(t, realServices(t)) }

// TestCollectedAcrossCrashes kills workers with images in the store and
// records in open transactions. Committed readers see each chosen pair once, as they
// see each result once.
func TestCollectedAcrossCrashes(t *testing.T) {
	for _, point := range []stages.CrashPoint{stages.AfterImagePut, stages.AfterProduce, stages.BeforeEndTxn, stages.AfterEndTxn} {
		t.Run(string(point), func(t *testing.T) {
			s := embeddedServices(t)
			settings := settingsOf(s, tinyBundle, "collect.images=file://"+t.TempDir(), "collect.rate=0.3", "kafka.transaction_timeout=8s")
			cfg := load(t, settings)
			o := observe(t, s)
			makeTopics(t, cfg)
			o.produce(oracle.NewWriter(32).Many(300)...)
			startProcess(t, settings, point, 6, syscall.SIGKILL).reached(t)
			torn := len(all(t, s, kgo.ReadUncommitted(), "collected"))
			w := start(t, cfg)
			o.wait()
			w.end(t)
			o.judge(cfg, oracle.Rules{})
			results, deleted := labels(t, s)
			c := collected(t, s)
			require.Zero(t, c.repeated)
			c.agree(t, cfg, results, nil)
			require.ElementsMatch(t, deleted, c.takedowns)
			if point == stages.AfterProduce || point == stages.BeforeEndTxn {
				whole := len(c.rows) + len(c.takedowns)
				require.Positive(t, torn)
				require.Greater(t, len(all(t, s, kgo.ReadUncommitted(), "collected")), whole, "something was aborted")
			}
		})
	}
}

// TestLabelsDoNotWaitForTheImageStore has a store that takes connections and
// never answers.
func TestLabelsDoNotWaitForTheImageStore(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var taken []net.Conn
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			taken = append(taken, conn)
		}
	}()
	s := embeddedServices(t)
	cfg := configure(t, s, tinyBundle, "collect.rate=1", "collect.timeout=6s",
		"collect.images=s3://images?anonymous=true&use_path_style=true&region=none&endpoint=http://"+silent.Addr().String())
	o := observe(t, s)
	w := start(t, cfg)
	// Each partition waits once, and then the store is left alone. If each of
	// their batches, seventeen or so, waited, that would be beyond all patience.
	o.produce(oracle.NewWriter(33).Many(800)...)
	o.wait()
	w.end(t)
	made(t, o.judge(cfg, oracle.Rules{}))
	require.NoError(t, silent.Close())
	<-ended
	require.NotEmpty(t, taken, "the store was tried")
	for _, conn := range taken {
		require.NoError(t, conn.Close())
	}
	c := collected(t, s)
	require.Empty(t, c.rows)
	_, deleted := labels(t, s)
	require.ElementsMatch(t, deleted, c.takedowns, "deletes are told all the same")
}

// TestNothingIsCollectedUnlessAskedFor has not even the topic.
func TestNothingIsCollectedUnlessAskedFor(t *testing.T) {
	s := embeddedServices(t)
	o := observe(t, s)
	workThrough(t, configure(t, s, tinyBundle), o, oracle.NewWriter(34).Many(50)...)
	topics, err := admin(t, s).ListTopics(t.Context())
	require.NoError(t, err)
	require.Contains(t, topics.Names(), "results")
	require.NotContains(t, topics.Names(), "collected")
}
