package model

import (
	"context"
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model/runtime"
)

// runs returns how often each graph was measured.
func runs(t *testing.T, reg *prometheus.Registry) map[string]uint64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	found := map[string]uint64{}
	for _, f := range families {
		if f.GetType() == dto.MetricType_HISTOGRAM {
			for _, m := range f.Metric {
				found[m.Label[0].GetValue()] = m.Histogram.GetSampleCount()
			}
		}
	}
	return found
}

func TestGraphsAreMeasured(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	m, err := Open("testdata/tiny-bundle", Options{Device: "cpu", Metrics: NewMetrics(reg)})
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	require.Equal(t, map[string]uint64{"text": 0, "image": 0, "head": 0, "explain": 0}, runs(t, reg), "warming up is no work")
	_, err = m.Encode(t.Context(), randomInput(t, m, 1, 3))
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"text": 1, "image": 1, "head": 1, "explain": 0}, runs(t, reg))
}

type failing struct{}

func (failing) Run(context.Context, []runtime.Tensor, []runtime.Tensor) error {
	return errors.New("no memory")
}

func TestFailedRunsTellNothingOfTheirTime(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	g := NewMetrics(reg).timed(headGraph, failing{})
	require.EqualError(t, g.Run(t.Context(), nil, nil), "no memory")
	require.Zero(t, runs(t, reg)["head"])
	var none *Metrics
	require.Equal(t, failing{}, none.timed(headGraph, failing{}))
}
