package media

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/itrstream/itrstream/schemas"
	stage "github.com/itrstream/itrstream/stages/media"
)

// crowd is a handler that lets nobody go before size are there, and notes how many there ever were.
type crowd struct {
	size    int
	full    chan struct{}
	mu      sync.Mutex
	now     int
	most    int
	visited int
}

func newCrowd(size int) *crowd { return &crowd{size: size, full: make(chan struct{})} }

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.now++
	c.visited++
	c.most = max(c.most, c.now)
	if c.visited == c.size {
		close(c.full)
	}
	c.mu.Unlock()
	select {
	case <-c.full:
	case <-time.After(patience):
	}
	time.Sleep(5 * time.Millisecond) // long enough for one too many to come in
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	body("ok")(w, r)
}

func fetchAll(ctx context.Context, c *Client, urls []string) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, u := range urls {
		g.Go(func() error {
			_, err := c.Fetch(ctx, u)
			return err
		})
	}
	return g.Wait()
}

func TestFetchLimitsConcurrency(t *testing.T) {
	t.Parallel()
	t.Run("to one host", func(t *testing.T) {
		t.Parallel()
		visitors := newCrowd(3)
		s := serve(t, visitors.ServeHTTP)
		c := testClient(t, noDNS(t), func(cfg *Config) { cfg.Concurrency, cfg.ConcurrencyPerHost = 10, 3 }, s)
		require.NoError(t, fetchAll(t.Context(), c, slices.Repeat([]string{s.URL}, 20)))
		require.Equal(t, 3, visitors.most)
		require.Equal(t, 20, visitors.visited)
		require.Empty(t, c.turns.hosts, "idle hosts are forgotten")
	})
	t.Run("to one host by way of others", func(t *testing.T) {
		t.Parallel()
		visitors := newCrowd(2)
		target := serve(t, visitors.ServeHTTP)
		var urls []string
		servers := []*httptest.Server{target}
		for i := range 8 {
			s := serveAt(t, fmt.Sprintf("127.0.0.%d:0", i+2), func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, target.URL, http.StatusFound)
			})
			servers, urls = append(servers, s), append(urls, s.URL)
		}
		c := testClient(t, noDNS(t), func(cfg *Config) { cfg.Concurrency, cfg.ConcurrencyPerHost = 10, 2 }, servers...)
		require.NoError(t, fetchAll(t.Context(), c, urls))
		require.Equal(t, 2, visitors.most)
	})
	t.Run("to all hosts", func(t *testing.T) {
		t.Parallel()
		visitors := newCrowd(4)
		var urls []string
		var servers []*httptest.Server
		for i := range 8 {
			s := serveAt(t, fmt.Sprintf("127.0.0.%d:0", i+1), visitors.ServeHTTP)
			servers, urls = append(servers, s), append(urls, s.URL, s.URL)
		}
		c := testClient(t, noDNS(t), func(cfg *Config) { cfg.Concurrency, cfg.ConcurrencyPerHost = 4, 2 }, servers...)
		require.NoError(t, fetchAll(t.Context(), c, urls))
		require.Equal(t, 4, visitors.most)
	})
}

func TestWhoWaitsForABusyHostHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	busy := serve(t, hang("x"))
	idle := serve(t, body("ok"))
	c := testClient(t, noDNS(t), func(cfg *Config) {
		cfg.Concurrency, cfg.ConcurrencyPerHost, cfg.MinBytesPerSecond, cfg.Timeout = 2, 1, 0, 10*time.Minute
	}, busy, idle)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	for range 5 {
		waiting.Go(func() { _, _ = c.Fetch(ctx, busy.URL) })
	}
	require.Eventually(t, func() bool {
		c.turns.mu.Lock()
		defer c.turns.mu.Unlock()
		q := c.turns.hosts[busy.Listener.Addr().String()]
		return q != nil && q.users == 5
	}, patience, time.Millisecond)
	_, err := c.Fetch(t.Context(), idle.URL)
	require.NoError(t, err)
}

func TestWaitingForATurnIsNotHeldAgainstAnImage(t *testing.T) {
	t.Parallel()
	s := serve(t, body("ok"))
	c := testClient(t, noDNS(t), func(cfg *Config) {
		cfg.ConcurrencyPerHost = 1
		cfg.Timeout, cfg.ConnectTimeout, cfg.HeaderTimeout = time.Second, time.Second, time.Second
	}, s)
	end, err := c.turns.take(t.Context(), s.Listener.Addr().String())
	require.NoError(t, err)
	fetched := make(chan error)
	go func() {
		_, err := c.Fetch(t.Context(), s.URL)
		fetched <- err
	}()
	time.Sleep(c.cfg.Timeout + 100*time.Millisecond)
	end()
	require.NoError(t, <-fetched)
}

func TestFailingHostsAreLeftAlone(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	var well atomic.Bool
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if well.Load() {
			body("ok")(w, r)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	})
	other := serve(t, body("ok"))
	c := testClient(t, noDNS(t), func(cfg *Config) { cfg.MaxRetries, cfg.HostFailures, cfg.HostPause = 0, 3, time.Minute }, s, other)
	now := time.Now()
	c.pauses.now = func() time.Time { return now }
	ask := func() error {
		_, err := c.Fetch(t.Context(), s.URL)
		return err
	}
	for range 10 {
		requireReason(t, schemas.ReasonUnreachable, ask())
	}
	require.Equal(t, int32(3), hits.Load())
	require.ErrorContains(t, ask(), "left alone for another 1m0s")
	_, err := c.Fetch(t.Context(), other.URL)
	require.NoError(t, err, "other hosts are not meant")

	now = now.Add(time.Minute)
	for range 5 { // one more failure is enough for the next pause
		requireReason(t, schemas.ReasonUnreachable, ask())
	}
	require.Equal(t, int32(4), hits.Load())

	now = now.Add(time.Minute)
	well.Store(true)
	require.NoError(t, ask())
	well.Store(false)
	for range 3 { // all is forgiven: three in a row again
		requireReason(t, schemas.ReasonUnreachable, ask())
	}
	require.Equal(t, int32(8), hits.Load())
}

func TestLateFailuresDoNotLengthenAPause(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newPauses(2, time.Minute, func() time.Time { return now })
	require.False(t, p.failed("h"))
	require.True(t, p.failed("h"))
	now = now.Add(30 * time.Second)
	require.False(t, p.failed("h"), "asked before the pause, timed out in it")
	now = now.Add(30 * time.Second)
	require.NoError(t, p.check("h"))
}

func failed(r schemas.Reason) error { return &stage.Failure{Reason: r, Err: errors.New("a reason")} }

func TestWhatCountsAgainstAHost(t *testing.T) {
	t.Parallel()
	c := testClient(t, noDNS(t), func(cfg *Config) { cfg.HostFailures, cfg.Timeout = 1, 10*time.Second })
	f := &fetch{Client: c}
	for name, tt := range map[string]struct {
		err    error
		took   time.Duration
		counts bool
	}{
		"image":      {nil, time.Second, false},
		"slow image": {nil, 6 * time.Second, true},
		"missing":    {&statusError{"404 Not Found"}, time.Second, false},
		"no image":   {failed(schemas.ReasonNotImage), time.Second, false},
		"too large":  {failed(schemas.ReasonImageSize), time.Second, false},
		"slow bomb":  {failed(schemas.ReasonImageSize), 6 * time.Second, true},
		"forbidden":  {failed(schemas.ReasonForbidden), 6 * time.Second, false},
		"busy":       {&busyError{err: errors.New("503")}, 0, true},
		"trickle":    {&tooSlowError{}, 0, true},
		"no name":    {errors.New("no such host"), 0, true},
	} {
		f.judge(name, tt.err, tt.took)
		assert.Equal(t, tt.counts, c.pauses.check(name) != nil, name)
	}
	for i := range 2 * maxRecords {
		f.judge(fmt.Sprintf("h%d.example", i), errors.New("no such host"), 0)
	}
	require.Equal(t, maxRecords, c.pauses.hosts.Len(), "strangers' names don't pile up")
}

func TestFetchOverTLS(t *testing.T) {
	t.Parallel()
	s := serveTLS(t)
	c := testClient(t, fakeDNS(t, func(string) []string { return []string{"127.0.0.1"} }), nil, s)
	c.transport.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	c.transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	c.transport.TLSClientConfig.RootCAs.AddCert(s.Certificate())
	im, err := c.Fetch(t.Context(), fmt.Sprintf("https://example.com:%d/", portOf(t, s)))
	require.NoError(t, err)
	require.Equal(t, "secret", string(im.Data))
	_, err = c.Fetch(t.Context(), fmt.Sprintf("https://other.example:%d/", portOf(t, s)))
	requireReason(t, schemas.ReasonUnreachable, err)
	require.ErrorContains(t, err, "certificate")
}

func TestProxyIsUsedOnlyWhenConfigured(t *testing.T) {
	t.Parallel()
	require.NotNil(t, testClient(t, noDNS(t), nil).transport.Proxy)
	none, err := testClient(t, noDNS(t), nil).transport.Proxy(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://img.example/", http.NoBody))
	require.NoError(t, err)
	require.Nil(t, none)

	var asked []string
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.RequestURI)
		body("by proxy")(w, r)
	})
	c := testClient(t, noDNS(t), func(cfg *Config) { cfg.AllowNetworks, cfg.Proxy = nil, proxy.URL })
	im, err := c.Fetch(t.Context(), "http://img.example/a.png")
	require.NoError(t, err)
	require.Equal(t, "by proxy", string(im.Data))
	_, err = c.Fetch(t.Context(), "http://10.0.0.1/a.png")
	requireReason(t, schemas.ReasonForbidden, err)
	require.Equal(t, []string{"http://img.example/a.png"}, asked)
}
