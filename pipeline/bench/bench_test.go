package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/jpeg"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model/pixels"
	"github.com/itrstream/itrstream/schemas"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	var s summary
	for _, v := range []float64{5, 1, 3} {
		s.add(v)
	}
	require.Equal(t, summary{Median: 3, Low: 1, High: 5, All: []float64{5, 1, 3}}, s)
	s.add(4)
	require.InDelta(t, 3.5, s.Median, 0)
}

// The ratio is taken in each repetition, not of the medians.
func TestRatioOfEachRepetition(t *testing.T) {
	t.Parallel()
	var lines table
	a := about{part: "p", what: "w", unit: "u", goal: goal{atLeast: 1.5}}
	for _, pair := range [][2]float64{{10, 10}, {40, 20}, {90, 30}} {
		lines.add(a, pair[0], pair[1])
	}
	require.Len(t, lines.Lines, 1)
	require.Equal(t, []float64{1, 2, 3}, lines.Lines[0].Ratio.All)
	require.InDelta(t, 2, lines.Lines[0].Ratio.Median, 0)
	require.True(t, *lines.Lines[0].Reached)
	a.unit, a.goal = "MB", goal{atMost: 0.5}
	lines.add(a, 3, 4)
	require.Len(t, lines.Lines, 2)
	require.False(t, *lines.Lines[1].Reached)
}

// A run of one part leaves the figures of the others.
func TestWriteKeepsOtherParts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	machine := hardware{Processor: "Some (R) CPU", Cores: 2}
	all := table{Hardware: machine}
	all.add(about{part: "1 a", what: "old", unit: "u"}, 1, 1)
	all.add(about{part: "2 b", what: "kept", unit: "u"}, 1, 1)
	_, err := all.write(dir)
	require.NoError(t, err)
	again := table{Hardware: machine}
	again.add(about{part: "1 a", what: "new", unit: "u"}, 2, 1)
	path, err := again.write(dir)
	require.NoError(t, err)
	require.Contains(t, path, "some-r-cpu-2-cores.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var got table
	require.NoError(t, json.Unmarshal(text, &got))
	var names []string
	for _, l := range got.Lines {
		names = append(names, l.What)
	}
	require.Equal(t, []string{"new", "kept"}, names)
}

// testWriter writes posts with one tiny photo.
func testWriter(t *testing.T, s stream) *writer {
	t.Helper()
	dir := t.TempDir()
	var file bytes.Buffer
	require.NoError(t, jpeg.Encode(&file, image.NewGray(image.Rect(0, 0, 16, 16)), nil))
	for _, k := range s.kinds {
		for i := range k.Count {
			require.NoError(t, os.WriteFile(photoFile(dir, k.kind, i), file.Bytes(), 0o600))
		}
	}
	w, err := newWriter(s, dir)
	require.NoError(t, err)
	return w
}

// The pipeline works on a repeated file once, so no two posts may have the same.
func TestPhotosDiffer(t *testing.T) {
	t.Parallel()
	w := testWriter(t, mixStream)
	seen := map[string]bool{}
	for n := range 50 {
		var post schemas.Post
		require.NoError(t, json.Unmarshal(w.value(n), &post))
		require.Equal(t, postID(n), post.PostID)
		file := post.Media[0].Data
		require.False(t, seen[string(file)], "post %d", n)
		seen[string(file)] = true
		im, err := pixels.Decode(file, pixels.Limits{MaxBytes: 1 << 20, MaxPixels: 256, MaxSide: 16}, true)
		require.NoError(t, err)
		require.Equal(t, 16, im.Width)
		require.Equal(t, w.value(n), w.value(n))
	}
}

// Each twenty posts have the stream's shares.
func TestSharesOfKinds(t *testing.T) {
	t.Parallel()
	w := testWriter(t, mixStream)
	for _, k := range kinds {
		for i := range w.files[k.Name] {
			w.files[k.Name][i] = []byte(k.Name)
		}
	}
	for block := range 30 {
		found := map[string]int{}
		for n := range kindsBlock {
			found[string(w.original(block*kindsBlock+n))]++
		}
		require.Equal(t, map[string]int{social.Name: 14, small.Name: 5, phone.Name: 1}, found)
	}
}

func TestRepeatedPhotos(t *testing.T) {
	t.Parallel()
	w := testWriter(t, viral)
	seen, again := map[string]bool{}, 0
	for n := range 1000 {
		file := string(w.photo(n))
		if seen[file] {
			again++
		}
		seen[file] = true
	}
	require.InDelta(t, 1000*viral.repeated, again, 60)
}

func TestTextPosts(t *testing.T) {
	t.Parallel()
	w := testWriter(t, textStream)
	for _, n := range []int{0, 1, 4095, 4096, 1_000_000} {
		var post schemas.Post
		value := w.value(n)
		require.NoError(t, json.Unmarshal(value, &post))
		require.Equal(t, postID(n), post.PostID)
		require.Empty(t, post.Media)
		require.LessOrEqual(t, len(value), textPost)
		require.Greater(t, len(value), textPost-20)
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	began := time.Now()
	p := paced{b: &bench{}, arrived: map[string]time.Time{}}
	for n := range 1010 {
		p.due = append(p.due, began)
		p.arrived[postID(n)] = began.Add(time.Duration(n-10) * time.Millisecond)
	}
	q := p.quantiles(10)
	require.Equal(t, 1000, q.posts)
	require.InDelta(t, 500, q.p50, 0.01)
	require.InDelta(t, 990, q.p99, 0.01)
	require.InDelta(t, 999, q.p999, 0.01)
}

func TestEncodeMeetsItsSize(t *testing.T) {
	t.Parallel()
	im := image.NewRGBA(image.Rect(0, 0, 320, 240))
	newGrain().add(im, newRandom(1, 2))
	for _, size := range []int{5_000, 20_000} {
		file, err := encode(im, size)
		require.NoError(t, err)
		require.LessOrEqual(t, len(file), size)
		require.Greater(t, len(file), size*8/10)
	}
}
