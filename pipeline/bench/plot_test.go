package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot/plotter"
)

func grown() *table {
	t := &table{Hardware: hardware{Processor: "a"}}
	for i, v := range []int{4, 16} {
		for _, unit := range pipelineUnits {
			t.add(about{growthName, fmt.Sprintf("%d ÷ 1 partitions", v), unit, goal{}, ""}, float64(20+i), 10)
		}
		t.add(about{growthName, fmt.Sprintf("%d ÷ 1 partitions, folding alone", v), "posts/s", goal{}, ""}, 5, 6)
		t.add(about{growthName, fmt.Sprintf("%d ÷ 1 of 3 partitions", v), "posts/s", goal{}, ""}, 5, 6)
	}
	t.add(about{"1 limit", "4 ÷ 1 partitions", "posts/s", goal{}, ""}, 1, 1)
	return t
}

func TestGrowthOfTable(t *testing.T) {
	t.Parallel()
	require.Equal(t, plotter.XYs{{X: 1, Y: 10}, {X: 4, Y: 20}, {X: 16, Y: 21}}, grown().growth("partitions", "posts/s"))
	require.Equal(t, plotter.XYs{{X: 1, Y: 6}, {X: 4, Y: 5}, {X: 16, Y: 5}}, grown().growth("partitions, folding alone", "posts/s"))
	require.Nil(t, grown().growth("workers", "posts/s"))
}

// TestDrawGrowth draws what there is, as whole XML, and nothing else.
func TestDrawGrowth(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "performance")
	other := grown()
	other.Hardware.Processor = "another one"
	require.NoError(t, drawGrowth(dir, []*table{grown(), other}))
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "growth-partitions.svg")}, files)
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(text, new(struct{})))
	for _, word := range []string{"posts/s", "CPU ms/post", "MB", "partitions", "another one", ">16<"} {
		require.Contains(t, string(text), word)
	}
}
