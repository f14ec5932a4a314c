package media

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
	stage "github.com/itrstream/itrstream/stages/media"
)

func TestFetchAsksForTheImageAndNothingElse(t *testing.T) {
	t.Parallel()
	var got http.Header
	last := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		w.Header().Set("Content-Type", "text/html") // a host's word counts for nothing
		_, _ = w.Write([]byte("bytes"))
	})
	first := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "who", Value: "you"})
		http.Redirect(w, r, last.URL+"/b?c=d", http.StatusFound)
	})
	c := testClient(t, noDNS(t), nil, first, last)
	im, err := c.Fetch(t.Context(), first.URL+"/a?secret=1#f")
	require.NoError(t, err)
	require.Equal(t, "bytes", string(im.Data))
	require.Equal(t, http.Header{
		"User-Agent":      {DefaultConfig().UserAgent},
		"Accept":          {"image/jpeg, image/png, image/webp, image/gif"},
		"Accept-Encoding": {"identity"},
	}, got)
}

func TestFetchFollowsRedirects(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		switch r.URL.Path {
		case "/ok":
			body("ok")(w, r)
		case "/nowhere":
			w.WriteHeader(http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		default:
			var left, status int
			_, err := fmt.Sscanf(r.URL.Path, "/%d/%d", &status, &left)
			assert.NoError(t, err)
			w.Header().Set("Location", "/ok")
			if left > 1 {
				w.Header().Set("Location", fmt.Sprintf("../%d/%d", status, left-1))
			}
			w.WriteHeader(status)
		}
	})
	c := testClient(t, noDNS(t), func(cfg *Config) { cfg.MaxRedirects = 3 }, s)
	for _, status := range []int{301, 302, 303, 307, 308} {
		im, err := c.Fetch(t.Context(), fmt.Sprintf("%s/%d/3", s.URL, status))
		require.NoError(t, err)
		require.Equal(t, "ok", string(im.Data))
	}
	for path, message := range map[string]string{"/302/4": "more than 3 redirects", "/loop": "more than 3 redirects", "/nowhere": "302 Found"} {
		hits.Store(0)
		_, err := c.Fetch(t.Context(), s.URL+path)
		requireReason(t, schemas.ReasonUnreachable, err)
		require.ErrorContains(t, err, message)
		require.LessOrEqual(t, hits.Load(), int32(4))
	}
	for _, status := range []int{300, 304, 305, 306} {
		_, err := c.Fetch(t.Context(), fmt.Sprintf("%s/%d/1", s.URL, status))
		requireReason(t, schemas.ReasonUnreachable, err)
	}
}

func TestFetchRefusesRedirectsToForbiddenPlaces(t *testing.T) {
	t.Parallel()
	var private atomic.Int32
	inside := serveAt(t, "127.0.0.1:0", func(http.ResponseWriter, *http.Request) { private.Add(1) })
	var location string
	outside := serveAt(t, "127.0.0.2:0", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
	})
	port := portOf(t, inside)
	c := testClient(t, fakeDNS(t, func(string) []string { return []string{"127.0.0.1", "::1"} }), func(cfg *Config) {
		cfg.AllowNetworks = []string{"127.0.0.2/32"}
	}, inside, outside)
	for _, location = range []string{
		inside.URL, fmt.Sprintf("http://localhost:%d/", port), fmt.Sprintf("http://inside.example:%d/", port),
		fmt.Sprintf("http://2130706433:%d/", port), fmt.Sprintf("http://0x7f.1:%d/", port), fmt.Sprintf("http://[::ffff:127.0.0.1]:%d/", port),
		fmt.Sprintf("http://0.0.0.0:%d/", port), fmt.Sprintf("http://user@127.0.0.2:%d/", port), "http://127.0.0.2:22/",
		"http://169.254.169.254/latest/", "http://metadata.google.internal/", "file:///etc/passwd", "gopher://127.0.0.2/", "//10.0.0.1/",
	} {
		_, err := c.Fetch(t.Context(), outside.URL)
		requireReason(t, schemas.ReasonForbidden, err)
	}
	require.Zero(t, private.Load())
}

// A name passes the first look-up and leads inside at the second.
func TestFetchIsNotReboundByDNS(t *testing.T) {
	t.Parallel()
	var private atomic.Int32
	outside := serveAt(t, "127.0.0.2:0", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = w.Write([]byte("ok"))
	})
	port := portOf(t, outside)
	serveAt(t, fmt.Sprintf("127.0.0.1:%d", port), func(http.ResponseWriter, *http.Request) { private.Add(1) })
	answers := []string{"127.0.0.2"}
	var mu sync.Mutex
	resolver := fakeDNS(t, func(string) []string {
		mu.Lock()
		defer mu.Unlock()
		return answers
	})
	answer := func(addresses ...string) {
		mu.Lock()
		defer mu.Unlock()
		answers = addresses
	}
	c := testClient(t, resolver, func(cfg *Config) { cfg.AllowNetworks = []string{"127.0.0.2/32"} }, outside)
	url := fmt.Sprintf("http://rebind.example:%d/", port)

	_, err := c.Fetch(t.Context(), url)
	require.NoError(t, err)
	for _, inside := range []string{
		"127.0.0.1", "::ffff:127.0.0.1", "::1", "0.0.0.0", "::", "10.0.0.1", "100.64.0.1", "169.254.169.254", "224.0.0.1", "255.255.255.255",
		"64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:808:808::80ff:fffe", "fe80::1", "fd00:ec2::254", "ff02::1", "::127.0.0.1",
	} {
		answer(inside)
		_, err = c.Fetch(t.Context(), url)
		requireReason(t, schemas.ReasonForbidden, err)
	}
	answer("127.0.0.1", "127.0.0.2") // of several addresses, only the public one is dialled
	im, err := c.Fetch(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, "ok", string(im.Data))
	require.Zero(t, private.Load())
}

func TestFetchUnreachable(t *testing.T) {
	t.Parallel()
	closed := serve(t, body(""))
	closed.Close()
	var hits atomic.Int32
	missing := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.NotFound(w, r)
	})
	secure := serveTLS(t)
	c := testClient(t, fakeDNS(t, func(string) []string { return nil }), func(cfg *Config) { cfg.MaxRetries = 1 }, closed, missing, secure)
	for url, message := range map[string]string{
		closed.URL:                    "refused (tried 2 times)",
		missing.URL:                   "404 Not Found",
		secure.URL:                    "certificate",
		"http://nobody.example/a.png": "no such host",
	} {
		_, err := c.Fetch(t.Context(), url)
		requireReason(t, schemas.ReasonUnreachable, err)
		require.ErrorContains(t, err, message)
		require.Equal(t, url == closed.URL, strings.Contains(err.Error(), "tried"), "what cannot change is asked for once: %v", err)
	}
	require.Equal(t, int32(1), hits.Load())
}

func TestFetchBrokenAnswers(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, tt := range map[string]struct {
		answer string
		reason schemas.Reason
		detail string
	}{
		"nothing":           {"", schemas.ReasonUnreachable, "EOF"},
		"not HTTP":          {"SSH-2.0-OpenSSH\r\n\r\n", schemas.ReasonUnreachable, "malformed"},
		"too short":         {ok + "Content-Length: 100\r\n\r\nten bytes.", schemas.ReasonUnreachable, "broke off"},
		"too short, chunks": {ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nten", schemas.ReasonUnreachable, "broke off"},
		"bad chunks":        {ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nten", schemas.ReasonUnreachable, "broke off"},
		"two lengths":       {ok + "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", schemas.ReasonUnreachable, "Content-Length"},
		"bad length":        {ok + "Content-Length: -3\r\n\r\nabcde", schemas.ReasonUnreachable, "Content-Length"},
		"announced bomb":    {ok + "Content-Length: 99999999999\r\n\r\nabc", schemas.ReasonImageSize, "more than 65536 bytes"},
		"one too many":      {ok + fmt.Sprintf("Content-Length: %d\r\n\r\n", testMaxBytes+1), schemas.ReasonImageSize, "more than 65536 bytes"},
		"unannounced":       {ok + "\r\n" + strings.Repeat("x", testMaxBytes+1), schemas.ReasonImageSize, "more than 65536 bytes"},
		"gzip":              {ok + "Content-Encoding: gzip\r\n\r\n\x1f\x8b", schemas.ReasonNotImage, `"gzip"`},
		"endless header":    {ok + "X: " + strings.Repeat("x", 1<<20), schemas.ReasonUnreachable, "exceeded 65536 bytes"},
		"partial":           {"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx", schemas.ReasonUnreachable, "206"},
		"no content":        {"HTTP/1.1 204 No Content\r\n\r\n", schemas.ReasonUnreachable, "204"},
		"upgrade":           {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", schemas.ReasonUnreachable, "101"},
		"foreign words":     {"HTTP/1.1 404 <script>\r\n\r\n", schemas.ReasonUnreachable, "404 Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, tt.answer)
			c := testClient(t, noDNS(t), func(cfg *Config) { cfg.MaxRetries = 0 }, s)
			_, err := c.Fetch(t.Context(), s.URL)
			requireReason(t, tt.reason, err)
			require.ErrorContains(t, err, tt.detail)
			require.NotContains(t, err.Error(), "<script>")
		})
	}
	t.Run("just right", func(t *testing.T) {
		t.Parallel()
		s := serve(t, body(strings.Repeat("x", testMaxBytes)))
		im, err := testClient(t, noDNS(t), nil, s).Fetch(t.Context(), s.URL)
		require.NoError(t, err)
		require.Len(t, im.Data, testMaxBytes)
	})
}

// hang writes piece again and again, for as long as someone reads.
func hang(piece string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-ticker.C:
				if piece != "" {
					_, _ = w.Write([]byte(piece))
					_ = http.NewResponseController(w).Flush()
				}
			}
		}
	}
}

func TestFetchGivesUpOnSlowHosts(t *testing.T) {
	t.Parallel()
	t.Run("no header", func(t *testing.T) {
		t.Parallel()
		s := serve(t, hang(""))
		c := testClient(t, noDNS(t), func(cfg *Config) { cfg.HeaderTimeout, cfg.MaxRetries = 50*time.Millisecond, 1 }, s)
		_, err := c.Fetch(t.Context(), s.URL)
		requireReason(t, schemas.ReasonUnreachable, err)
		require.ErrorContains(t, err, "awaiting response headers (tried 2 times)")
	})
	t.Run("trickle", func(t *testing.T) {
		t.Parallel()
		s := serve(t, hang("x"))
		c := testClient(t, noDNS(t), func(cfg *Config) { cfg.MinBytesPerSecond, cfg.Timeout = 1<<20, patience }, s)
		c.pace.window = 50 * time.Millisecond
		_, err := c.Fetch(t.Context(), s.URL)
		requireReason(t, schemas.ReasonUnreachable, err)
		require.ErrorContains(t, err, "1048576 bytes a second are asked for")
	})
	t.Run("a stop after a good start", func(t *testing.T) {
		t.Parallel()
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(make([]byte, testMaxBytes/2))
			_ = http.NewResponseController(w).Flush()
			hang("")(w, r)
		})
		c := testClient(t, noDNS(t), func(cfg *Config) { cfg.MinBytesPerSecond, cfg.Timeout = 1024, patience }, s)
		c.pace.window = 50 * time.Millisecond
		_, err := c.Fetch(t.Context(), s.URL)
		requireReason(t, schemas.ReasonUnreachable, err)
		require.ErrorContains(t, err, "only 0 bytes came")
	})
	t.Run("fast enough to be let go on", func(t *testing.T) {
		t.Parallel()
		s := serve(t, hang("x"))
		c := testClient(t, noDNS(t), func(cfg *Config) {
			cfg.MinBytesPerSecond, cfg.Timeout, cfg.ConnectTimeout, cfg.HeaderTimeout = 1, time.Second, time.Second, time.Second
		}, s)
		c.pace.window = 200 * time.Millisecond
		_, err := c.Fetch(t.Context(), s.URL)
		requireReason(t, schemas.ReasonUnreachable, err)
		require.ErrorContains(t, err, "no image within 1s")
	})
	t.Run("a redirect after the other", func(t *testing.T) {
		t.Parallel()
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(50 * time.Millisecond)
			http.Redirect(w, r, "/", http.StatusFound)
		})
		c := testClient(t, noDNS(t), func(cfg *Config) {
			cfg.Timeout, cfg.ConnectTimeout, cfg.HeaderTimeout, cfg.MaxRedirects = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond, 20
		}, s)
		_, err := c.Fetch(t.Context(), s.URL)
		requireReason(t, schemas.ReasonUnreachable, err)
		require.ErrorContains(t, err, "no image within 200ms")
	})
}

func TestFetchStopsEndlessBodies(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 4096))
		}
	})
	_, err := testClient(t, noDNS(t), nil, s).Fetch(t.Context(), s.URL)
	requireReason(t, schemas.ReasonImageSize, err)
}

func TestFetchTriesAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status     int
		retryAfter string
		failing    int32 // answers before it goes well
		hits       int32
		ok         bool
	}{
		"once is enough":          {503, "", 0, 1, true},
		"busy":                    {503, "", 2, 3, true},
		"asked to wait a little":  {429, "0", 1, 2, true},
		"asked to wait long":      {429, "3600", 1, 1, false},
		"asked to wait for ever":  {429, "99999999999999999999", 1, 1, false},
		"asked to wait till then": {429, "Fri, 01 Jan 2100 00:00:00 GMT", 1, 1, false},
		"asked to wait till past": {503, "Fri, 01 Jan 2010 00:00:00 GMT", 1, 2, true},
		"asked for nonsense":      {503, "soon", 1, 2, true},
		"broken":                  {500, "", 99, 3, false},
		"bad gateway":             {502, "", 2, 3, true},
		"gateway timeout":         {504, "", 2, 3, true},
		"gone":                    {410, "", 99, 1, false},
		"not for us":              {403, "", 99, 1, false},
		"not implemented":         {501, "", 99, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var hits atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if hits.Add(1) > tt.failing {
					body("ok")(w, r)
					return
				}
				w.Header().Set("Retry-After", tt.retryAfter)
				w.WriteHeader(tt.status)
			})
			_, err := testClient(t, noDNS(t), nil, s).Fetch(t.Context(), s.URL)
			require.Equal(t, tt.hits, hits.Load())
			if tt.ok {
				require.NoError(t, err)
				return
			}
			requireReason(t, schemas.ReasonUnreachable, err)
		})
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		hang("x")(w, r)
	})
	idle := serve(t, body("ok"))
	c := testClient(t, noDNS(t), func(cfg *Config) { cfg.Concurrency, cfg.ConcurrencyPerHost, cfg.HostFailures = 1, 1, 1 }, s, idle)
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error)
	fetch := func(url string) {
		_, err := c.Fetch(ctx, url)
		errs <- err
	}
	go fetch(s.URL) // reads
	<-asked
	go fetch(s.URL)    // waits for the host
	go fetch(idle.URL) // waits for the other host
	require.Eventually(t, func() bool {
		c.turns.mu.Lock()
		defer c.turns.mu.Unlock()
		return len(c.turns.hosts) == 2 && c.turns.hosts[s.Listener.Addr().String()].users == 2
	}, patience, time.Millisecond)
	cancel()
	for range 3 {
		err := <-errs
		require.ErrorIs(t, err, context.Canceled)
		var failure *stage.Failure
		require.NotErrorAs(t, err, &failure, "nothing is said about the image")
	}
	require.NoError(t, c.pauses.check(s.Listener.Addr().String()), "nor about the host")
	require.Empty(t, c.turns.hosts)
	_, err := c.Fetch(t.Context(), idle.URL)
	require.NoError(t, err, "every turn was given back")
}
