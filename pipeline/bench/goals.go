package main

import (
	"path"
	"strings"
)

// goalRow is a row of the goals' table: what is asked for, and the lines that
// say what was reached.
type goalRow struct {
	measure string
	lines   []lineName
}

// lineName finds lines: what and part may have asterisks.
type lineName struct{ part, what, unit string }

// goalRows are the goals, in their order. The numbers stand with the lines, where
// they are measured.
var goalRows = []goalRow{
	{"full pipeline ÷ bare model loop, where the model is the bottleneck", []lineName{
		{limitName, "pipeline ÷ graphs alone, full-size towers, *", "posts?s"},
		{limitName, "pipeline ÷ graphs alone, full-size towers, *", "CPU*"},
	}},
	{"full pipeline on the mix ÷ Python peer, exactly once on both sides", []lineName{
		{peersName, "exactly once ÷ Python, same pixels", "posts?s"},
		{peersName, "exactly once ÷ Python, same pixels", "MB"},
		{peersName, "exactly once ÷ Python, both with draft", "posts?s"},
		{peersName, "exactly once ÷ Python, both with draft", "MB"},
	}},
	{"the same ÷ what the cores allow", []lineName{
		{peersName, "exactly once ÷ JPEG decode and graphs", "posts?s"},
		{peersName, "exactly once ÷ JPEG decode and graphs", "CPU*"},
	}},
	{"latency at half load ÷ Python peer's", []lineName{
		{latencyName, "exactly once ÷ Python, same pixels, each at half of its highest rate", "p50*"},
		{latencyName, "exactly once ÷ Python, same pixels, each at half of its highest rate", "p99 *"},
		{latencyName, "exactly once ÷ Python, same pixels, at the same rate", "p50*"},
		{latencyName, "exactly once ÷ Python, same pixels, at the same rate", "p99 *"},
		{latencyName, "exactly once ÷ Python, both with draft, each at half of its highest rate", "p50*"},
		{latencyName, "exactly once ÷ Python, both with draft, each at half of its highest rate", "p99 *"},
	}},
	{"CPU per post outside model, JPEG, base64, digest and socket copies", []lineName{
		{profileName, "CPU outside model, *", "ms?post"},
		{profileName, "CPU that no rule explains *", "share"},
	}},
	{"with the bundle's own optimisations ÷ Python peer, 30 % repeated images", []lineName{
		{peersName, "caches and draft ÷ Python with draft, *", "posts?s"},
	}},
	{"inference stubbed, at least once ÷ Python's stub; ÷ a Go peer", []lineName{
		{stubName, "at least once ÷ Python, one process", "posts?s"},
		{stubName, "at least once ÷ Python, two processes", "posts?s"},
		{stubName, "at least once ÷ plain Go", "posts?s"},
	}},
	{"exactly once ÷ at least once, throughput", []lineName{
		{peersName, "exactly once ÷ at least once", "posts?s"},
		{stubName, "exactly once ÷ at least once", "posts?s"},
	}},
	{"tokenizers ÷ HF tokenizers, single texts", []lineName{{partOfParts, "WordPiece, *", "texts?s"}}},
	{"assign and fold ÷ River, k=64; ÷ sklearn, every k", []lineName{
		{partOfParts, "assign and fold, k=64 ÷ River*", "points?s"},
		{partOfParts, "assign and fold, * ÷ sklearn*", "points?s"},
	}},
	{"peak memory above the bare model's, any backlog", []lineName{
		{peersName, "peak above the bare model's *", "MB"},
		{soakName, "peak above the bare model's, *", "MB"},
	}},
	{"GPU: pipeline ÷ bare CUDA loop at equal batch, JPEG decode included", []lineName{
		{gpuName + "*", "pipeline ÷ JPEG decode and graphs, *", "posts?s"},
		{gpuName + "*", "cores *", "cores"},
	}},
}

// has tells whether a line is one of those that the name finds. Lines and names have
// slashes, which path.Match takes for more than a letter.
func (n lineName) has(l *line) bool {
	for _, pair := range [][2]string{{n.part, l.Part}, {n.what, l.What}, {n.unit, l.Unit}} {
		ok, err := path.Match(strings.ReplaceAll(pair[0], "/", "?"), strings.ReplaceAll(pair[1], "/", " "))
		if err != nil {
			panic(err) // a pattern of ours is wrong
		}
		if !ok {
			return false
		}
	}
	return true
}
