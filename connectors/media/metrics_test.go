package media

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestFetchesAreMeasured(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/image", http.StatusFound)
		case "/image":
			body("12345")(w, r)
		case "/large":
			body(strings.Repeat("x", testMaxBytes+1))(w, r)
		case "/packed":
			w.Header().Set("Content-Encoding", "gzip")
		default:
			http.NotFound(w, r)
		}
	})
	c := testClient(t, noDNS(t), nil, s)
	reg := prometheus.NewRegistry()
	c.metrics = NewMetrics(reg)
	for _, url := range []string{
		s.URL + "/image", s.URL + "/moved", s.URL + "/large", s.URL + "/packed", s.URL + "/gone", s.URL + "/away", "http://10.0.0.1/",
	} {
		_, _ = c.Fetch(t.Context(), url)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := c.Fetch(ended, s.URL+"/image")
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP itrstream_fetches_total Fetches of images, by how they ended: ok, stopped by us, or the reason of the failure; repeats and redirects count as one.
# TYPE itrstream_fetches_total counter
itrstream_fetches_total{outcome="forbidden_address"} 1
itrstream_fetches_total{outcome="image_too_large"} 1
itrstream_fetches_total{outcome="not_an_image"} 1
itrstream_fetches_total{outcome="ok"} 2
itrstream_fetches_total{outcome="stopped"} 1
itrstream_fetches_total{outcome="unreachable"} 2
# HELP itrstream_fetched_bytes_total Bytes of fetched images.
# TYPE itrstream_fetched_bytes_total counter
itrstream_fetched_bytes_total 10
`), "itrstream_fetches_total", "itrstream_fetched_bytes_total"))
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "itrstream_fetch_duration_seconds" {
			require.EqualValues(t, 8, f.Metric[0].Histogram.GetSampleCount())
		}
	}
}
