package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	pprofile "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
)

// No figure on a page is typed by hand.
func TestPagesAreWhatTheFiguresGive(t *testing.T) {
	t.Parallel()
	tables, err := readTables(filepath.Join(sources(), "results"))
	require.NoError(t, err)
	for _, page := range reportPages {
		text, err := os.ReadFile(filepath.Join(sources(), "../..", page))
		require.NoError(t, err)
		filled, err := fillPage(string(text), tables)
		require.NoError(t, err)
		require.Equal(t, filled, string(text), "%s: make bench-report", page)
		require.Contains(t, string(text), "<!-- bench:", page)
	}
	for _, figures := range tables {
		for part, m := range figures.Measured {
			require.False(t, m.Quick, "%s of %s was a first look, and no figures to keep", part, figures.Hardware)
		}
	}
}

// someTables have a line for every goal but the GPU's.
func someTables() []*table {
	first := &table{Hardware: hardware{Processor: "Some CPU", Cores: 2, System: "linux"}, Measured: map[string]measured{"peers": {Date: "2026-11-23", Commit: "abc", Repeats: 3, Minutes: 7}}}
	for _, row := range goalRows {
		for _, name := range row.lines {
			if strings.HasPrefix(name.part, gpuName) {
				continue
			}
			plain := strings.NewReplacer("*", "x", "?", "/").Replace
			for _, v := range []float64{1, 2, 4} {
				first.add(about{part: name.part, what: plain(name.what), unit: plain(name.unit), goal: goal{atLeast: 1.5}, note: "n"}, v, 2)
			}
		}
	}
	first.add(about{part: peersName, what: "exactly once ÷ Python, same pixels", unit: "CPU ms/post"}, 10, 20)
	first.Profile = &profile{Posts: 1234, CPU: 10, Seen: 0.97, Rest: 0.5, Parts: []partTime{
		{Name: "model: image tower", Share: 0.95, MS: 9.5, Needed: true}, {Name: "Redis", Share: 0.05, MS: 0.5},
	}}
	second := &table{Hardware: hardware{Processor: "Other CPU", Cores: 16, GPU: "Some GPU", System: "linux"}}
	second.add(about{part: gpuName + "itr-mini", what: "pipeline ÷ graphs alone, mix", unit: "posts/s"}, 4000, 5000)
	return []*table{first, second}
}

func TestGoalsShowWhatWasReached(t *testing.T) {
	t.Parallel()
	tables := someTables()
	block := goalsBlock(tables)
	require.Contains(t, block, "| full pipeline on the mix ÷ Python peer, exactly once on both sides | exactly once ÷ Python, same pixels | 2.00 | 2.00 | posts/s | 1.00 (0.500…2.00) | ≥ 1.5 | **missed** |")
	require.Contains(t, block, "| GPU: pipeline ÷ bare CUDA loop at equal batch, JPEG decode included | not measured yet |")
	for _, row := range goalRows {
		require.Contains(t, block, row.measure)
	}
	require.Contains(t, goalsBlock(nil), "No figures")
}

func TestFillPage(t *testing.T) {
	t.Parallel()
	page := "a\n<!-- bench:headline -->\nstale\n<!-- /bench:headline -->\nb\n<!-- bench:lines --><!-- /bench:lines -->\nc\n"
	once, err := fillPage(page, someTables())
	require.NoError(t, err)
	require.NotContains(t, once, "stale")
	require.Contains(t, once, "1.00 × its memory (2.00 MB against 2.00)")
	require.Contains(t, once, "Some GPU and 16 cores of Other CPU")
	require.True(t, strings.HasPrefix(once, "a\n") && strings.HasSuffix(once, "\nc\n"))
	require.NotContains(t, once, "%!")
	again, err := fillPage(once, someTables())
	require.NoError(t, err)
	require.Equal(t, once, again)
	for _, wrong := range []string{"<!-- bench:nothing --><!-- /bench:nothing -->", "<!-- bench:lines -->"} {
		_, err := fillPage(wrong, nil)
		require.Error(t, err)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	n := plan(1000, 7, 4.2, 2500)
	require.InDelta(t, 10, n.cores, 1e-9)
	require.InDelta(t, 4, n.coresWithGPU, 1e-9)
	require.InDelta(t, 1000/2500./0.7, n.gpus, 1e-9)
	require.InDelta(t, 364, n.kafkaIn, 1e-9)
	tables := someTables()
	tables[0].add(about{part: growthName, what: "64 ÷ 16 rows a batch, folding alone", unit: "Redis CPU µs/post"}, 9, 20)
	block := capacityBlock(tables)
	require.Contains(t, block, "| Redis's only thread, 64 posts a fold | 1 % | 90 % | 900 % |")
	require.Contains(t, block, "| Redis's only thread, 1,024 posts a fold | – | – | – |")
	require.Contains(t, block, "| GPUs | 1 | 29 | 290 |")
	require.Contains(t, block, "| Kafka, posts with their images inline | 370 MB/s | 37 GB/s | 370 GB/s |")
}

func TestWhole(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0.2: "1", 99.5: "100", 101: "110", 1234: "1,300", 1_000_000: "1,000,000"} {
		require.Equal(t, want, whole(v))
	}
}

// profileOf makes a profile of stacks, innermost function first, a second each.
func profileOf(stacks ...[]string) *pprofile.Profile {
	p := &pprofile.Profile{SampleType: []*pprofile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	for _, stack := range stacks {
		s := &pprofile.Sample{Value: []int64{1, 1e9}}
		for _, name := range stack {
			s.Location = append(s.Location, &pprofile.Location{Line: []pprofile.Line{{Function: &pprofile.Function{Name: name}}}})
		}
		p.Sample = append(p.Sample, s)
	}
	return p
}

func TestProfileParts(t *testing.T) {
	t.Parallel()
	const ours = "github.com/itrstream/itrstream/"
	p, err := newProfile(profileOf(
		[]string{"runtime.cgocall", "github.com/yalue/onnxruntime_go._Cfunc_RunOrtSession", ours + "model/runtime.(*Session).Run", ours + "model.(*timedGraph).Run", ours + "model.(*Model).runImages", ours + "model.(*Model).runTowers.func1"},
		[]string{"runtime.cgocall", ours + "model/pixels/internal/turbo._Cfunc_decode", ours + "model/pixels.Drawing.Draw", ours + "stages/media.(*Stage).draw"},
		[]string{"runtime.memclrNoHeapPointers", "runtime.mallocgc", ours + "stages/decode.(*Stage).Process", ours + "pipeline.(*chain).next"},
		[]string{"somebody.else", "main.main"},
	), figures{posts: 100, cpu: 40, profiled: 5e9})
	require.NoError(t, err)
	require.InDelta(t, 0.8, p.Seen, 1e-9)
	for _, name := range []string{"model: image tower", "JPEG decode and resize", "decode: JSON to Arrow", unexplained} {
		require.InDelta(t, 10, p.part(name).MS, 1e-9, name)
	}
	require.InDelta(t, 20, p.Rest, 1e-9)
	require.Equal(t, "somebody.else", p.Unexplained[0].Name)
	drawn := p.flame.svg("a <title>")
	require.Contains(t, drawn, "a &lt;title&gt;")
	require.Contains(t, drawn, "<title>somebody.else: 25.0 %</title>")
	_, err = newProfile(profileOf(), figures{posts: 1, cpu: 1})
	require.Error(t, err)
}

func TestWatchedLine(t *testing.T) {
	t.Parallel()
	w := watched{values: []float64{10, 12, 11, 13, 12, 14, 13, 15}}
	require.InDelta(t, 10.5, w.line(0), 1e-9)
	require.InDelta(t, 14.5, w.line(1), 1e-9)
	require.InDelta(t, 15, w.middle(0.75, 1), 0)
	require.InDelta(t, 12, w.middle(0, 0.25), 0)
}
