package media

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testMaxBytes = 64 << 10

// fakeDNS answers look-ups from answer, in place of the network: the real dialler and resolver run above it.
func fakeDNS(t *testing.T, answer func(name string) []string) *net.Resolver {
	t.Helper()
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer func() { _ = ours.Close() }()
			for serveLookup(ours, answer) == nil {
			}
		}()
		return theirs, nil
	}}
}

// serveLookup speaks DNS as over TCP: each message behind its length.
func serveLookup(conn io.ReadWriter, answer func(name string) []string) error {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	raw := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, raw); err != nil {
		return err
	}
	var query dnsmessage.Message
	if err := query.Unpack(raw); err != nil {
		return err
	}
	q := query.Questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	addresses := answer(q.Name.String())
	if addresses == nil {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, text := range addresses {
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, Type: q.Type}
		switch a := netip.MustParseAddr(text); {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	packed, err := reply.AppendPack(make([]byte, 2))
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint16(packed, uint16(len(packed)-2))
	_, err = conn.Write(packed)
	return err
}

// noDNS fails the test when anything is looked up.
func noDNS(t *testing.T) *net.Resolver {
	t.Helper()
	return fakeDNS(t, func(name string) []string {
		assert.Fail(t, "a look-up", name)
		return nil
	})
}

// testClient may reach 127.0.0.0/8 on the ports of servers. Its limits are tight, and it retries without help from edit.
func testClient(t *testing.T, resolver *net.Resolver, edit func(*Config), servers ...*httptest.Server) *Client {
	t.Helper()
	cfg := DefaultConfig()
	cfg.AllowNetworks = []string{"127.0.0.0/8"}
	cfg.HostFailures = 0
	for _, s := range servers {
		cfg.Ports = append(cfg.Ports, portOf(t, s))
	}
	if edit != nil {
		edit(&cfg)
	}
	c, err := newClient(cfg, Settings{MaxBytes: testMaxBytes, Log: slog.New(slog.DiscardHandler)}, resolver)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func portOf(t *testing.T, s *httptest.Server) int {
	t.Helper()
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	port, err := strconv.Atoi(u.Port())
	require.NoError(t, err)
	return port
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// serveAt listens on an address of its own, on the port of another server when one is given.
func serveAt(t *testing.T, address string, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func body(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

// serveRaw answers every connection with text as it stands, then closes it.
func serveRaw(t *testing.T, text string) *httptest.Server {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if assert.NoError(t, err) {
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	})
}

// patience ends a test that hangs.
const patience = 30 * time.Second

func serveTLS(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(body("secret"))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}
