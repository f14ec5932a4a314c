package main

import (
	"fmt"
	"math"
	"strings"
)

// What a plan assumes beside the figures. The page says so, too.
const (
	planLoad       = 0.7     // of what was measured: the rest is for peaks and for a replica that is gone
	planPost       = 364_000 // bytes of a post of the mix, its image inline
	planImage      = planPost * 3 / 4
	planResult     = transactionBytes
	planRows       = 64 // of a batch: batch.max_rows
	planPartitions = 2  // for each core, as measured
)

// planRates are posts a second.
var planRates = []int{1_000, 100_000, 1_000_000}

// need is what a rate takes.
type need struct {
	cores, coresWithGPU, gpus float64 // gpus 0: none was measured
	partitions                float64
	kafkaIn, kafkaOut, fetch  float64 // MB/s; fetch is of images that are not inline
	folds                     float64 // a second
}

// plan computes it from the processor time of a post, what of it a GPU takes, and
// the rate of one GPU.
func plan(rate, cpuMS, modelMS, gpuRate float64) need {
	n := need{
		cores: rate * cpuMS / 1000 / planLoad, coresWithGPU: rate * (cpuMS - modelMS) / 1000 / planLoad,
		kafkaIn: rate * planPost / 1e6, kafkaOut: rate * planResult / 1e6, fetch: rate * planImage / 1e6,
		folds: rate / planRows,
	}
	if gpuRate > 0 {
		n.gpus = rate / gpuRate / planLoad
	}
	n.partitions = planPartitions * n.cores
	return n
}

func capacityBlock(tables []*table) string {
	_, post := find(tables, lineName{peersName, "exactly once ÷ Python, same pixels", "CPU*"})
	if post == nil {
		return notYet
	}
	cpu, modelMS := post.Ours.Median, 0.0
	machine := tables[0].Hardware
	for _, t := range tables {
		if t.Profile == nil {
			continue
		}
		for _, part := range t.Profile.Parts {
			if strings.HasPrefix(part.Name, "model: ") {
				modelMS += part.MS
			}
		}
		break
	}
	gpuRate, gpuNote := 0.0, "no GPU has been measured yet"
	if t, l := find(tables, lineName{gpuName + "itr-mini", "pipeline ÷ graphs alone, mix", "posts?s"}); l != nil {
		gpuRate, gpuNote = l.Other.Median, fmt.Sprintf("one %s runs the graphs of %s posts/s", t.Hardware.GPU, short(l.Other.Median))
	}
	var out strings.Builder
	fmt.Fprintf(&out, "From %s ms of processor time a post (%s ms of it the model's) on %s; %s.\n\n", short(cpu), short(modelMS), machine.short(), gpuNote)
	out.WriteString("| | " + strings.Join(each(planRates, func(r int) string { return grouped(r) + " posts/s" }), " | ") + " |\n|---|---|---|---|\n")
	for _, row := range []struct {
		name string
		cell func(need) string
	}{
		{"cores, all on CPUs", func(n need) string { return whole(n.cores) }},
		{"cores beside GPUs", func(n need) string { return whole(n.coresWithGPU) }},
		{"GPUs", func(n need) string {
			if n.gpus == 0 {
				return "–"
			}
			return whole(n.gpus)
		}},
		{"partitions of the posts' topic", func(n need) string { return whole(n.partitions) }},
		{"Kafka, posts with their images inline", func(n need) string { return megabytes(n.kafkaIn) }},
		{"Kafka, results", func(n need) string { return megabytes(n.kafkaOut) }},
		{"fetched images, where posts carry URLs instead", func(n need) string { return megabytes(n.fetch) }},
		{"folds of 64 posts", func(n need) string { return whole(n.folds) + "/s" }},
	} {
		cells := each(planRates, func(r int) string { return row.cell(plan(float64(r), cpu, modelMS, gpuRate)) })
		fmt.Fprintf(&out, "| %s | %s |\n", row.name, strings.Join(cells, " | "))
	}
	for _, row := range []struct {
		name, line, unit string
		cell             func(perPost, rate float64) string
	}{
		{"Redis's network, 64 posts a fold", "64 ÷ 16 rows a batch, folding alone", "Redis kB?post", func(kb, rate float64) string { return megabytes(kb * rate / 1000) }},
		{"Redis's only thread, 64 posts a fold", "64 ÷ 16 rows a batch, folding alone", "Redis CPU*", busy},
		{"Redis's only thread, 1,024 posts a fold", "1024 ÷ 16 rows a batch, folding alone", "Redis CPU*", busy},
	} {
		cells := each(planRates, func(int) string { return "–" })
		if _, l := find(tables, lineName{growthName, row.line, row.unit}); l != nil {
			cells = each(planRates, func(r int) string { return row.cell(l.Ours.Median, float64(r)) })
		}
		fmt.Fprintf(&out, "| %s | %s |\n", row.name, strings.Join(cells, " | "))
	}
	return out.String()
}

// busy is the share of a thread that takes so many microseconds a post.
func busy(perPost, rate float64) string { return fmt.Sprintf("%.0f %%", perPost*rate/1e4) }

// foldsBlock is the sweep of folds that get in each other's way.
func foldsBlock(tables []*table) string {
	lines, _ := findAll(tables, lineName{growthName, "*in conflict*", "*"})
	if len(lines) == 0 {
		return notYet
	}
	var out strings.Builder
	out.WriteString("| ours ÷ other | unit | ours | other | ratio (low…high) | |\n|---|---|---|---|---|---|\n")
	for _, l := range lines {
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s |\n", l.What, l.Unit, short(l.Ours.Median), short(l.Other.Median), l.ratioOf(), l.Note)
	}
	return out.String()
}

func each[T any](list []T, do func(T) string) (out []string) {
	for _, v := range list {
		out = append(out, do(v))
	}
	return out
}

// whole rounds up to what can be bought, to two digits that mean something.
func whole(v float64) string {
	if v <= 100 {
		return fmt.Sprint(int(math.Ceil(v)))
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-1)
	return grouped(int(math.Ceil(v/unit) * unit))
}

func megabytes(v float64) string {
	if v >= 10_000 {
		return whole(v/1000) + " GB/s"
	}
	return whole(v) + " MB/s"
}
