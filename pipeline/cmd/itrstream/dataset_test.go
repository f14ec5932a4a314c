package main

import (
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/pipeline/collector/inspect"
	"github.com/itrstream/itrstream/pipeline/collector/inspect/inspecttest"
)

func collected(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	inspecttest.Write(t, dir, inspecttest.Rows(t, 10), 3)
	return dir
}

func TestDatasetStats(t *testing.T) {
	t.Parallel()
	dir := collected(t)
	status, out, errs := call("dataset", "stats", dir)
	require.Equal(t, 0, status, errs)
	require.Contains(t, out, "10 pairs in 4 shards")
	require.Regexp(t, `both +2 +20\.0 % +2\.4 % ± `, out)
	require.Contains(t, out, "dropped, duplicate: 2")

	status, out, errs = call("dataset", "stats", dir, "--json")
	require.Equal(t, 0, status, errs)
	var report inspect.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.EqualValues(t, 10, report.Rows)
}

func TestDatasetVerify(t *testing.T) {
	t.Parallel()
	dir := collected(t)
	status, out, errs := call("dataset", "verify", inspecttest.Address(dir))
	require.Equal(t, 0, status, errs)
	require.Contains(t, out, "read 4 shards with 10 pairs: 0 faults")

	shards, err := filepath.Glob(filepath.Join(dir, "data", "*", "*.parquet"))
	require.NoError(t, err)
	require.NoError(t, os.Truncate(shards[0], 1000))
	status, out, errs = call("dataset", "verify", dir)
	require.Equal(t, 1, status)
	require.Contains(t, out, "has 1000 bytes, its entry says")
	require.Contains(t, errs, "3 faults")
	status, out, _ = call("dataset", "verify", dir, "--json")
	require.Equal(t, 1, status)
	var verdict inspect.Verdict
	require.NoError(t, json.Unmarshal([]byte(out), &verdict))
	require.Len(t, verdict.Faults, 3)

	status, _, errs = call("dataset", "verify", filepath.Join(dir, "nowhere"))
	require.Equal(t, 1, status)
	require.Contains(t, errs, "no data set")
}

func TestDatasetSample(t *testing.T) {
	t.Parallel()
	dir, name := collected(t), filepath.Join(t.TempDir(), "sheet.png")
	status, out, errs := call("dataset", "sample", dir, "--out", name, "--count", "7", "--columns", "4")
	require.Equal(t, 0, status, errs)
	require.Contains(t, out, "7 pairs")
	first, err := os.ReadFile(name)
	require.NoError(t, err)
	file, err := os.Open(name)
	require.NoError(t, err)
	sheet, err := png.Decode(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.Greater(t, sheet.Bounds().Dx(), sheet.Bounds().Dy())

	status, _, errs = call("dataset", "sample", dir, "--out", name, "--count", "7", "--columns", "4")
	require.Equal(t, 0, status, errs)
	again, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, first, again)

	for want, args := range map[string][]string{
		"--count: 0":        {"--count", "0"},
		"--columns: 0":      {"--columns", "0"},
		`--relation: "odd"`: {"--relation", "odd"},
		"--out: ":           {"--out", filepath.Join(dir, "nowhere", "sheet.png")},
	} {
		status, _, errs := call(append([]string{"dataset", "sample", dir}, args...)...)
		require.Equal(t, 1, status)
		require.Contains(t, errs, want)
	}
}
