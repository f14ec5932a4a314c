package media

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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

// gzipped is n zeros in gzip.
func gzipped(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(make([]byte, n))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestFetchHostileAnswers(t *testing.T) {
	t.Parallel()
	const (
		ok      = "HTTP/1.1 200 OK\r\n"
		chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
		away    = schemas.ReasonUnreachable
		other   = schemas.ReasonNotImage
		large   = schemas.ReasonImageSize
	)
	bomb := gzipped(t, 100<<20)
	for name, tt := range map[string]struct {
		answer string
		reason schemas.Reason // "" for an answer that is read
		want   string         // what is read, or part of the error
	}{
		// Lengths.
		"shorter than the body":      {ok + "Content-Length: 3\r\n\r\nabcdefghi", "", "abc"},
		"length 0":                   {ok + "Content-Length: 0\r\n\r\nabc", "", ""},
		"length twice the same":      {ok + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "", "abc"},
		"lengths in a list":          {ok + "Content-Length: 3, 5\r\n\r\nabcde", away, "Content-Length"},
		"length with a sign":         {ok + "Content-Length: +3\r\n\r\nabc", away, "Content-Length"},
		"length in hexadecimal":      {ok + "Content-Length: 0x3\r\n\r\nabc", away, "Content-Length"},
		"length beyond 64 bits":      {ok + "Content-Length: 99999999999999999999\r\n\r\nabc", away, "Content-Length"},
		"length of 2⁶³-1":            {ok + "Content-Length: 9223372036854775807\r\n\r\nabc", large, "more than"},
		"length and chunks":          {ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "", "ab"},
		"length and chunks, smuggle": {ok + "Content-Length: 99999999\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", ""},
		// Chunks.
		"chunks":                     {chunked + "3\r\nabc\r\n0\r\n\r\n", "", "abc"},
		"chunk of 2⁶⁴-1":             {chunked + "ffffffffffffffff\r\nabc", away, "broke off"},
		"chunk of 2⁶⁴":               {chunked + "10000000000000000\r\nabc", away, "broke off"},
		"chunk of a negative length": {chunked + "-3\r\nabc\r\n0\r\n\r\n", away, "broke off"},
		"chunk length with 0x":       {chunked + "0x3\r\nabc\r\n0\r\n\r\n", away, "broke off"},
		"chunk without its end":      {chunked + "3\r\nabc0\r\n\r\n", away, "broke off"},
		"chunks without an end":      {chunked + "3\r\nabc\r\n", away, "broke off"},
		"chunk extension, long":      {chunked + "3;" + strings.Repeat("x", 8<<10) + "\r\nabc\r\n0\r\n\r\n", away, "broke off"},
		"chunk extensions, many":     {chunked + strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 1000) + "0\r\n\r\n", away, "broke off"},
		"chunks of one byte":         {chunked + strings.Repeat("1\r\na\r\n", testMaxBytes) + "0\r\n\r\n", "", strings.Repeat("a", testMaxBytes)},
		"chunks of one byte, beyond": {chunked + strings.Repeat("1\r\na\r\n", testMaxBytes+1) + "0\r\n\r\n", large, "more than"},
		"trailer, long":              {chunked + "0\r\n" + strings.Repeat("X: y\r\n", 10_000) + "\r\n", away, "broke off"},
		"gzip in transfer":           {ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", away, "transfer encoding"},
		"identity in transfer":       {ok + "Transfer-Encoding: identity\r\n\r\nabc", away, "transfer encoding"},
		"chunked twice":              {ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", away, "transfer encoding"},
		// Encodings. None was asked for, so nothing is unpacked.
		"gzip bomb":           {ok + "Content-Encoding: gzip\r\n\r\n" + bomb, other, `"gzip"`},
		"gzip bomb, unsaid":   {ok + "\r\n" + bomb[:testMaxBytes], "", bomb[:testMaxBytes]},
		"gzip, in capitals":   {ok + "Content-Encoding: GZIP\r\n\r\n", other, `"GZIP"`},
		"x-gzip":              {ok + "Content-Encoding: x-gzip\r\n\r\n", other, `"x-gzip"`},
		"deflate":             {ok + "Content-Encoding: deflate\r\n\r\n", other, `"deflate"`},
		"Brotli":              {ok + "Content-Encoding: br\r\n\r\n", other, `"br"`},
		"gzip a hundred fold": {ok + "Content-Encoding: " + strings.Repeat("gzip, ", 100) + "gzip\r\n\r\n", other, "gzip, gzip"},
		"identity":            {ok + "Content-Encoding: identity\r\n\r\nabc", "", "abc"},
		// Headers.
		"HTTP/0.9":             {"<html>", away, "malformed"},
		"HTTP/2 unasked":       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", away, "malformed"},
		"HTTP/9.9":             {"HTTP/9.9 200 OK\r\n\r\nabc", "", "abc"},
		"status 99":            {"HTTP/1.1 99 OK\r\n\r\n", away, "malformed"},
		"status 2000":          {"HTTP/1.1 2000 OK\r\n\r\n", away, "malformed"},
		"status 999":           {"HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n", away, "999"},
		"status in letters":    {"HTTP/1.1 OK 200\r\n\r\n", away, "malformed"},
		"hints for ever":       {strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", 100_000), away, ""},
		"many headers":         {ok + strings.Repeat("X: y\r\n", 100_000) + "\r\n", away, "exceeded"},
		"NUL in a header":      {ok + "X: a\x00b\r\n\r\nabc", away, "malformed"},
		"space before a colon": {ok + "Content-Length : 1\r\n\r\nabc", "", "abc"},
		"no colon":             {ok + "hello\r\n\r\nabc", away, "malformed"},
		"a range":              {"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-2/3\r\nContent-Length: 3\r\n\r\nabc", away, "206"},
		"not modified":         {"HTTP/1.1 304 Not Modified\r\n\r\n", away, "304"},
		"asked for a password": {"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n", away, "401"},
		"asked by a proxy":     {"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", away, "407"},
		"a page that leads on": {ok + "Refresh: 0; url=http://10.0.0.1/\r\nContent-Length: 3\r\n\r\nabc", "", "abc"},
		// Redirects.
		"two locations":           {"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\nLocation: http://8.8.8.8/\r\nContent-Length: 0\r\n\r\n", schemas.ReasonForbidden, "10.0.0.1"},
		"a location of 32 KB":     {"HTTP/1.1 302 Found\r\nLocation: /" + strings.Repeat("a", 32<<10) + "\r\nContent-Length: 0\r\n\r\n", schemas.ReasonForbidden, "8192 are allowed"},
		"a location not in UTF-8": {"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n", schemas.ReasonForbidden, ""},
		"a redirect with a bomb":  {"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n" + strings.Repeat("x", 1<<20), schemas.ReasonForbidden, "10.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, tt.answer)
			c := testClient(t, noDNS(t), func(cfg *Config) { cfg.MaxRetries = 0 }, s)
			im, err := c.Fetch(t.Context(), s.URL)
			if tt.reason == "" {
				require.NoError(t, err)
				require.Equal(t, tt.want, string(im.Data))
				return
			}
			requireReason(t, tt.reason, err)
			require.ErrorContains(t, err, tt.want)
			require.Less(t, len(err.Error()), 1000)
		})
	}
}

// slowly writes text a byte at a time, then goes on with piece for as long as someone reads.
func slowly(t *testing.T, text, piece string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer func() { _ = conn.Close() }()
		for i := 0; ; i++ {
			next := piece
			if i < len(text) {
				next = text[i : i+1]
			}
			if _, err := io.WriteString(conn, next); err != nil {
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
}

func TestFetchGivesUpOnTrickles(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, tt := range map[string]struct {
		text, piece string
		edit        func(*Config)
		says        string
	}{
		"a header that never ends": {ok + "X: ", "x", func(c *Config) { c.HeaderTimeout = 100 * time.Millisecond }, "timeout awaiting response headers"},
		"headers that never end":   {ok, "X: y\r\n", func(c *Config) { c.HeaderTimeout = 100 * time.Millisecond }, "timeout awaiting response headers"},
		"hints that never end":     {"", "HTTP/1.1 103 Early Hints\r\n\r\n", func(c *Config) { c.HeaderTimeout = 100 * time.Millisecond }, "timeout awaiting response headers"},
		"a status that never ends": {"HTTP/1.1 200 ", "O", func(c *Config) { c.HeaderTimeout = 100 * time.Millisecond }, "timeout awaiting response headers"},
		"chunks of one byte":       {ok + "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", func(c *Config) { c.MinBytesPerSecond = 1 << 20 }, "bytes a second are asked for"},
		"a chunk's length":         {ok + "Transfer-Encoding: chunked\r\n\r\n", "0", func(c *Config) { c.MinBytesPerSecond = 1024 }, ""},
		"a trailer":                {ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", "x", func(c *Config) { c.MinBytesPerSecond = 1024 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, slowly(t, tt.text, tt.piece))
			c := testClient(t, noDNS(t), func(cfg *Config) {
				cfg.Timeout, cfg.MaxRetries = patience, 0
				tt.edit(cfg)
			}, s)
			c.pace.window = 100 * time.Millisecond
			_, err := c.Fetch(t.Context(), s.URL)
			requireReason(t, schemas.ReasonUnreachable, err)
			require.ErrorContains(t, err, tt.says)
		})
	}
}

func TestFetchGivesUpOnSilentTLS(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var held sync.WaitGroup
	held.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			held.Go(func() { // reads the hello, and says nothing
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			})
		}
	})
	defer held.Wait()
	defer func() { require.NoError(t, l.Close()) }()
	port := l.Addr().(*net.TCPAddr).Port
	c := testClient(t, noDNS(t), func(cfg *Config) {
		cfg.Ports, cfg.ConnectTimeout, cfg.MaxRetries = []int{port}, 100*time.Millisecond, 0
	})
	defer c.Close()
	_, err = c.Fetch(t.Context(), fmt.Sprintf("https://127.0.0.1:%d/", port))
	requireReason(t, schemas.ReasonUnreachable, err)
	require.ErrorContains(t, err, "TLS handshake timeout")
}

// A host answers one request with two answers: the second must not be taken for that of the next request.
func TestFetchTakesNoAnswerThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer func() { _ = conn.Close() }()
		answer := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal"
		for {
			asked.Add(1)
			if _, err := io.WriteString(conn, answer+"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"); err != nil {
				return
			}
			if _, err := http.ReadRequest(buffered.Reader); err != nil {
				return
			}
		}
	})
	c := testClient(t, noDNS(t), func(cfg *Config) { cfg.ConcurrencyPerHost = 1 }, s)
	for range 20 {
		im, err := c.Fetch(t.Context(), s.URL)
		require.NoError(t, err)
		require.Equal(t, "real", string(im.Data))
	}
	require.GreaterOrEqual(t, asked.Load(), int32(20))
}

// A name leads outside for the redirect and inside for what it leads to, though only a moment lies between.
func TestFetchIsNotReboundWithinOneFetch(t *testing.T) {
	t.Parallel()
	var private, lookups atomic.Int32
	outside := serveAt(t, "127.0.0.2:0", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.Header().Set("Location", "/again")
		w.WriteHeader(http.StatusFound)
	})
	port := portOf(t, outside)
	serveAt(t, fmt.Sprintf("127.0.0.1:%d", port), func(http.ResponseWriter, *http.Request) { private.Add(1) })
	resolver := fakeDNS(t, func(string) []string {
		if lookups.Add(1) <= 2 { // A and AAAA of the first
			return []string{"127.0.0.2"}
		}
		return []string{"127.0.0.1"}
	})
	c := testClient(t, resolver, func(cfg *Config) { cfg.AllowNetworks = []string{"127.0.0.2/32"} }, outside)
	_, err := c.Fetch(t.Context(), fmt.Sprintf("http://rebind.example:%d/", port))
	requireReason(t, schemas.ReasonForbidden, err)
	require.Greater(t, lookups.Load(), int32(2), "it was looked up again")
	require.Zero(t, private.Load())
}

// A look-up that gives a thousand addresses, all inside, costs no connection.
func TestFetchOfManyAddresses(t *testing.T) {
	t.Parallel()
	var private atomic.Int32
	inside := serveAt(t, "127.0.0.1:0", func(http.ResponseWriter, *http.Request) { private.Add(1) })
	var addresses []string
	for i := range 1000 {
		addresses = append(addresses, fmt.Sprintf("127.%d.%d.1", i/256, i%256), fmt.Sprintf("fd00::%x", i))
	}
	c := testClient(t, fakeDNS(t, func(string) []string { return addresses }), func(cfg *Config) { cfg.AllowNetworks = nil }, inside)
	_, err := c.Fetch(t.Context(), fmt.Sprintf("http://many.example:%d/", portOf(t, inside)))
	requireReason(t, schemas.ReasonForbidden, err)
	require.Zero(t, private.Load())
}

// FuzzAnswer has a host answer with any bytes: what comes of it is the image, within its limit, or a failure of the image.
func FuzzAnswer(f *testing.F) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, seed := range []string{
		"", ok + "Content-Length: 3\r\n\r\nabc", ok + "Transfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n",
		ok + "Content-Encoding: gzip\r\n\r\nabc", "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: ?\r\n\r\n",
		"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n\r\n", "HTTP/1.1 429 \r\nRetry-After: Fri, 01 Jan 2100 00:00:00 GMT\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n" + ok + "\r\nabc", "HTTP/1.0 200 OK\n\nabc", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	cfg := DefaultConfig()
	cfg.MaxRetries, cfg.MaxRedirects, cfg.HostFailures, cfg.MinBytesPerSecond = 0, 3, 0, 0
	const limit = 1000
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, err := newClient(cfg, Settings{MaxBytes: limit, Log: slog.New(slog.DiscardHandler)}, net.DefaultResolver)
		require.NoError(t, err)
		defer c.Close()
		c.transport.DisableKeepAlives = true
		c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer func() { _ = ours.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(ours)); err == nil {
					_, _ = ours.Write(answer)
				}
			}()
			return theirs, nil
		}
		im, err := c.Fetch(t.Context(), "http://img.example/a")
		if err == nil {
			require.LessOrEqual(t, len(im.Data), limit)
			return
		}
		var failure *stage.Failure
		require.True(t, errors.As(err, &failure), err)
		require.NotEmpty(t, failure.Reason)
	})
}
