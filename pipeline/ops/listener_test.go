package ops_test

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/itrstream/itrstream/pipeline/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// announced finds the address that the listener says it has.
type announced struct {
	io.Writer
	mu   sync.Mutex
	addr string
}

func (a *announced) replace(_ []string, attr slog.Attr) slog.Attr {
	if attr.Key == "addr" {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.addr = attr.Value.String()
	}
	return attr
}

// listen starts a listener and returns its base URL.
func listen(t *testing.T, c ops.Config, h *ops.Health, more ...prometheus.Collector) string {
	t.Helper()
	reg := ops.NewRegistry()
	reg.MustRegister(more...)
	said := &announced{}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{ReplaceAttr: said.replace}))
	l, err := ops.Listen(t.Context(), c, ops.Settings{Log: log, Gatherer: reg, Health: h})
	require.NoError(t, err)
	t.Cleanup(l.Close)
	return "http://" + said.addr
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestMetricsAreServed(t *testing.T) {
	t.Parallel()
	mine := prometheus.NewCounter(prometheus.CounterOpts{Name: "itrstream_mine_total", Help: "Mine."})
	url := listen(t, ops.Config{Addr: "127.0.0.1:0"}, newHealth(newClock()), mine)
	mine.Inc()
	status, body := get(t, url+"/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "\nitrstream_mine_total 1\n")
	require.Contains(t, body, "\ngo_goroutines ")
	require.Contains(t, body, "\nprocess_cpu_seconds_total ")
}

func TestProfilesOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		url := listen(t, ops.Config{Addr: "127.0.0.1:0", PProf: on}, newHealth(newClock()))
		want := http.StatusNotFound
		if on {
			want = http.StatusOK
		}
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/symbol"} {
			status, _ := get(t, url+path)
			require.Equal(t, want, status, path)
		}
	}
}

func TestABusyPortIsAClearError(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	_, err = ops.Listen(t.Context(), ops.Config{Addr: taken.Addr().String()}, ops.Settings{
		Log: slog.New(slog.DiscardHandler), Gatherer: ops.NewRegistry(), Health: newHealth(newClock()),
	})
	require.ErrorContains(t, err, "ops.addr: "+taken.Addr().String()+" is in use")
	require.ErrorContains(t, err, "ops.addr empty")
}

func TestNoAddressIsNoListener(t *testing.T) {
	t.Parallel()
	l, err := ops.Listen(t.Context(), ops.Config{}, ops.Settings{})
	require.NoError(t, err)
	require.Nil(t, l)
	l.Close()
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	require.NoError(t, ops.DefaultConfig().Validate())
	require.NoError(t, ops.DefaultTracing().Validate())
	for _, addr := range []string{"9464", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000", "::1:9464"} {
		require.ErrorContains(t, ops.Config{Addr: addr, StuckAfter: time.Minute}.Validate(), "addr: ", addr)
	}
	for _, addr := range []string{"", ":9464", "127.0.0.1:0", "[::1]:9464", "ops.example:9464"} {
		require.NoError(t, ops.Config{Addr: addr, StuckAfter: time.Minute}.Validate(), addr)
	}
	require.ErrorContains(t, ops.Config{}.Validate(), "stuck_after: 0s")
	for _, endpoint := range []string{"127.0.0.1:4318", "grpc://a:4317", "http://", "http://me:secret@a:4318", "http://a:4318?x=y"} {
		err := ops.TracingConfig{Endpoint: endpoint}.Validate()
		require.ErrorContains(t, err, "endpoint: ", endpoint)
		require.NotContains(t, err.Error(), "secret")
	}
	require.NoError(t, ops.TracingConfig{Endpoint: "https://a.example/otlp", Sample: 1}.Validate())
	require.ErrorContains(t, ops.TracingConfig{Sample: 1.5}.Validate(), "sample: 1.5")
}
