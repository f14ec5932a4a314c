package inspect

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/pipeline/collector/inspect/inspecttest"
	"github.com/itrstream/itrstream/schemas"
)

// later is when every data set of these tests has settled.
var later = inspecttest.Began.AddDate(0, 1, 0)

func open(t *testing.T, place string) *Set {
	t.Helper()
	s, err := Open(t.Context(), place)
	require.NoError(t, err)
	alloc := memory.NewCheckedAllocator(memory.NewGoAllocator())
	s.alloc = alloc
	t.Cleanup(func() {
		alloc.AssertSize(t, 0)
		require.NoError(t, s.Close())
	})
	return s
}

// written is a data set of 20 rows in shards of up to 4.
func written(t *testing.T) (*Set, string) {
	t.Helper()
	dir := t.TempDir()
	inspecttest.Write(t, dir, inspecttest.Rows(t, 20), 4)
	return open(t, dir), dir
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for place, want := range map[string]string{
		filepath.Join(dir, "nowhere"): "no data set",
		"file://" + dir + "/nowhere":  "no data set",
		file:                          "it is a file",
		dir:                           "names no partition",
		"ftp://example.org/x":         "must begin with file:///",
	} {
		_, err := Open(t.Context(), place)
		require.ErrorContains(t, err, want, place)
	}
	require.NoDirExists(t, filepath.Join(dir, "nowhere"))
	inspecttest.Write(t, dir, inspecttest.Rows(t, 1), 1)
	open(t, dir)
	open(t, inspecttest.Address(dir))
}

func TestReport(t *testing.T) {
	t.Parallel()
	s, _ := written(t)
	r, err := s.Report(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 20, r.Rows)
	assert.Equal(t, 6, r.Shards, "10 rows of each partition, 4 to a shard")
	assert.Equal(t, map[string]int64{"duplicate": 2}, r.Dropped)
	assert.Equal(t, []dataset.Covered{{Topic: "collected", To: 11}, {Topic: "collected", Partition: 1, To: 11}}, r.Inputs)
	assert.Equal(t, inspecttest.Began, r.First)
	assert.Equal(t, inspecttest.Began.Add(19*time.Minute), r.Last)
	assert.InDelta(t, 15/0.1+5, r.EstimatedPairs, 1e-9)

	// Rows 3, 7, … are of relation 3, kept with a probability of 1; 5 rows of each other one stand for 50 pairs.
	require.Len(t, r.Relations, 4)
	variance := func(own, others, share float64) float64 {
		return math.Sqrt(own*90*(1-share)*(1-share)+others*90*share*share) / 155
	}
	for _, share := range r.Relations {
		if share.Name == "both" {
			assert.InDelta(t, 5.0/155, share.Estimate, 1e-9)
			assert.InDelta(t, variance(0, 15, 5.0/155), share.Error, 1e-9)
		} else {
			assert.InDelta(t, 50.0/155, share.Estimate, 1e-9)
			assert.InDelta(t, variance(5, 10, 50.0/155), share.Error, 1e-9)
		}
		assert.EqualValues(t, 5, share.Rows)
		assert.InDelta(t, 0.25, share.Share, 1e-9)
	}
	names := func(shares []Share) (all map[string]int64) {
		all = map[string]int64{}
		for _, share := range shares {
			all[share.Name] = share.Rows
		}
		return all
	}
	assert.Equal(t, map[string]int64{"en": 10, "de": 10, "": 5}, names(r.Langs))
	assert.Equal(t, map[string]int64{"2026-11-22": 10, "2026-11-23": 10}, names(r.Days))
	assert.Equal(t, "2026-11-22", r.Days[0].Name)
	assert.Equal(t, map[string]int64{"rate": 15, "rule:kept": 5}, names(r.Reasons))
	assert.Equal(t, map[string]int64{"": 10, "CC-BY-4.0": 10}, names(r.Licenses))
	assert.Equal(t, map[string]int64{"itr-mini 1.0.0 sha256:0": 20}, names(r.Models))
}

func TestVerifyWhole(t *testing.T) {
	t.Parallel()
	s, _ := written(t)
	v, err := s.Verify(t.Context(), later)
	require.NoError(t, err)
	assert.Equal(t, Verdict{Rows: 20, Shards: 6, Faults: []Fault{}, Unsettled: []string{}}, v)
}

func TestVerifyFindsEachFault(t *testing.T) {
	t.Parallel()
	shards := func(t *testing.T, dir string) []string {
		found, err := filepath.Glob(filepath.Join(dir, "data", "*", "*.parquet"))
		require.NoError(t, err)
		return found
	}
	entries := func(t *testing.T, dir string) []string {
		found, err := filepath.Glob(filepath.Join(dir, "log", "collected-00000", "0*.json"))
		require.NoError(t, err)
		return found
	}
	edit := func(t *testing.T, file string, by func(string) string) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		changed := by(string(text))
		require.NotEqual(t, string(text), changed)
		require.NoError(t, os.WriteFile(file, []byte(changed), 0o600))
	}
	old := func(t *testing.T, file string) {
		require.NoError(t, os.Chtimes(file, inspecttest.Began, inspecttest.Began))
	}
	for name, test := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   []string
	}{
		"a shard is gone": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(shards(t, dir)[0])) }, []string{"is missing"}},
		"a shard is cut": {func(t *testing.T, dir string) {
			edit(t, shards(t, dir)[0], func(s string) string { return s[:len(s)-100] })
		}, []string{"bytes, its entry says", "has SHA-256"}},
		"a byte of an image is another": {func(t *testing.T, dir string) {
			edit(t, shards(t, dir)[0], func(s string) string {
				at := strings.Index(s, "\xff\xda")
				return s[:at+40] + string(s[at+40]^1) + s[at+41:]
			})
		}, []string{"has SHA-256"}},
		"an entry is gone": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(entries(t, dir)[0])) }, []string{"breaks off"}},
		"an entry is another's": {func(t *testing.T, dir string) {
			edit(t, entries(t, dir)[0], func(s string) string { return strings.Replace(s, `"rev": 0`, `"rev": 1`, 1) })
		}, []string{"is damaged"}},
		"an entry counts wrongly": {func(t *testing.T, dir string) {
			edit(t, entries(t, dir)[0], func(s string) string { return strings.Replace(s, `"neither": `, `"neither": 1`, 1) })
		}, []string{"not those that its entry counts"}},
		"a shard is in no entry": {func(t *testing.T, dir string) {
			stray := filepath.Join(dir, "data", "day=2026-11-23", "stray.parquet")
			require.NoError(t, os.WriteFile(stray, nil, 0o600))
			old(t, stray)
		}, []string{"is in no entry"}},
		"a writer died": {func(t *testing.T, dir string) {
			stray := shards(t, dir)[0] + ".0123456789abcdef.tmp"
			require.NoError(t, os.WriteFile(stray, nil, 0o600))
			old(t, stray)
		}, []string{"is left over"}},
		"the manifest is gone": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "manifest.json"))) }, []string{"manifest.json"}},
		"the manifest is older": {func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "manifest.json"), func(s string) string { return strings.Replace(s, `"rows": 4`, `"rows": 3`, 1) })
		}, []string{"of others"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := written(t)
			test.damage(t, dir)
			v, err := s.Verify(t.Context(), later)
			require.NoError(t, err)
			for _, want := range test.want {
				assert.Contains(t, whats(v), want)
			}
			assert.False(t, v.Whole())
		})
	}
}

func whats(v Verdict) string {
	var all strings.Builder
	for _, f := range v.Faults {
		all.WriteString(f.Where + " " + f.What + "\n")
	}
	return all.String()
}

func TestVerifyFindsEachFaultOfARow(t *testing.T) {
	t.Parallel()
	for want, damage := range map[string]func(rows []dataset.Row){
		"has no image":                    func(rows []dataset.Row) { rows[1].Image = nil },
		"not its image_digest":            func(rows []dataset.Row) { rows[1].Image = rows[2].Image },
		"its image can't be decoded":      func(rows []dataset.Row) { rows[1].Image = rows[1].Image[:200] },
		"has no relation":                 func(rows []dataset.Row) { rows[1].Collected.Relation = "" },
		"its scores add up to 1.25":       func(rows []dataset.Row) { rows[1].Collected.Scores[0] = 0.5 },
		"its inclusion_probability is 0,": func(rows []dataset.Row) { rows[1].Collected.Selected.Probability = 0 },
		"has no result_id":                func(rows []dataset.Row) { rows[1].Collected.ResultID = "" },
		"its text_hash is damaged":        func(rows []dataset.Row) { rows[1].TextHash = []byte("odd") },
		"is the pair of data/":            func(rows []dataset.Row) { rows[1].Collected.ResultID = rows[0].Collected.ResultID },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			dir, rows := t.TempDir(), inspecttest.Rows(t, 3)
			damage(rows)
			inspecttest.Write(t, dir, rows, 4)
			v, err := open(t, dir).Verify(t.Context(), later)
			require.NoError(t, err)
			assert.Contains(t, whats(v), want)
			assert.Contains(t, whats(v), "row 1 ")
		})
	}
}

func TestVerifyFindsWhatWasTakenDown(t *testing.T) {
	t.Parallel()
	s, _ := written(t)
	taken, err := dataset.OpenTakedowns(t.Context(), s.folder, time.Now)
	require.NoError(t, err)
	taken.Add(dataset.TakenPost("post-7"))
	require.NoError(t, taken.Save(t.Context()))
	v, err := s.Verify(t.Context(), later)
	require.NoError(t, err)
	require.Len(t, v.Faults, 1)
	assert.Equal(t, "was taken down, and is still here", v.Faults[0].What)
}

// What a running collector is about to write or remove is no fault yet.
func TestVerifyBesideACollector(t *testing.T) {
	t.Parallel()
	s, dir := written(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "new.parquet"), nil, 0o600))
	v, err := s.Verify(t.Context(), time.Now())
	require.NoError(t, err)
	assert.Empty(t, v.Faults)
	assert.Equal(t, []string{"data/new.parquet"}, v.Unsettled)
}

// A takedown rewrites a shard between the reading of the log and that of the shard.
func TestShardIsLookedForAgain(t *testing.T) {
	t.Parallel()
	s, _ := written(t)
	input := schemas.Partition{Topic: "collected"}
	chain, err := s.folder.Chain(t.Context(), input)
	require.NoError(t, err)
	before := chain.Entries()[0]
	gone := func(r *dataset.Row) bool { return r.Collected.PostID == "post-0" }
	after, err := chain.Without(t.Context(), before, s.alloc, later, gone)
	require.NoError(t, err)
	var read []dataset.Entry
	require.NoError(t, s.shard(t.Context(), before, func(e dataset.Entry) error {
		read = append(read, e)
		_, _, err := s.copyOf(t.Context(), e.Shard)
		return err
	}))
	require.Len(t, read, 2)
	assert.Equal(t, after.Shard, read[1].Shard)
}

func TestSample(t *testing.T) {
	t.Parallel()
	s, _ := written(t)
	ids := func(s *Set, count int, seed uint64, relation string) (all []string) {
		rows, err := s.Sample(t.Context(), count, seed, relation)
		require.NoError(t, err)
		for _, r := range rows {
			require.NotEmpty(t, r.Image)
			require.Contains(t, r.Collected.Text, strings.TrimPrefix(r.Collected.ResultID, "result-"))
			all = append(all, r.Collected.ResultID)
		}
		return all
	}
	five := ids(s, 5, 1, "")
	assert.Len(t, five, 5)
	assert.NotEqual(t, five, ids(s, 5, 2, ""))
	assert.Equal(t, five, ids(s, 9, 1, "")[:5], "more of the same")
	assert.Len(t, ids(s, 50, 1, ""), 20)
	assert.Len(t, ids(s, 50, 1, "both"), 5)

	other := t.TempDir()
	inspecttest.Write(t, other, inspecttest.Rows(t, 20), 3)
	assert.Equal(t, five, ids(open(t, other), 5, 1, ""), "however rows lie in shards")
}
