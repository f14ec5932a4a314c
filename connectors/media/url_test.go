package media

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

// hostileURL is a line of testdata/hostile/urls.jsonl: a URL that must be refused without a look-up.
type hostileURL struct {
	URL    string         `json:"url"`
	Reason schemas.Reason `json:"reason"`
	Tests  string         `json:"tests"`
}

func hostileURLs(t testing.TB) []hostileURL {
	t.Helper()
	data, err := os.ReadFile("testdata/hostile/urls.jsonl")
	require.NoError(t, err)
	var all []hostileURL
	for line := range bytes.Lines(data) {
		var h hostileURL
		require.NoError(t, json.Unmarshal(line, &h))
		require.NotEmpty(t, h.Tests)
		all = append(all, h)
	}
	require.Greater(t, len(all), 200)
	return all
}

func TestTargetRefuses(t *testing.T) {
	t.Parallel()
	g := &guard{ports: []int{80, 443}}
	base, err := g.target(nil, "https://img.example/a/b?c")
	require.NoError(t, err)
	for _, h := range hostileURLs(t) {
		_, err := g.target(nil, h.URL)
		require.Error(t, err, "%q, %s", h.URL, h.Tests)
		requireReason(t, h.Reason, err)
		require.LessOrEqual(t, len(err.Error()), 3*maxHost, "an error does not repeat the whole URL")
		if u, err := url.Parse(h.URL); err == nil && !u.IsAbs() {
			continue // relative: fine in a redirect
		}
		_, err = g.target(base, h.URL)
		require.Error(t, err, "as a redirect: %q, %s", h.URL, h.Tests)
		requireReason(t, h.Reason, err)
	}
	_, err = g.target(nil, "http://"+strings.Repeat("ü", maxHost/2+1))
	require.ErrorContains(t, err, "1014 bytes, 1012 are allowed", "before it is mapped")
}

func TestTargetSpellsOutWhatIsRequested(t *testing.T) {
	t.Parallel()
	g := &guard{ports: []int{80, 443, 8443}}
	for raw, want := range map[string]string{
		"http://img.example/a.png":                   "http://img.example/a.png",
		"HTTPS://IMG.Example:8443/A.png?x=1&y=%20#f": "https://img.example:8443/A.png?x=1&y=%20",
		"http://img.example/a b?c d\"ü&e=%20":        "http://img.example/a%20b?c%20d%22%C3%BC&e=%20",
		"http://img.example":                         "http://img.example",
		"http://img.example.:0080/":                  "http://img.example:80/",
		"http://img.example:/a":                      "http://img.example/a",
		"https://my_bucket.s3.example/a%2Fb":         "https://my_bucket.s3.example/a%2Fb",
		"https://bücher.example/ü":                   "https://xn--bcher-kva.example/%C3%BC",
		"https://img。example/":                       "https://img.example/",
		"http://8.8.8.8/":                            "http://8.8.8.8/",
		"http://[2606:4700:0::1111]:443/":            "http://[2606:4700::1111]:443/",
		"http://1.example/":                          "http://1.example/",
		"http://127.0.0.1.example/":                  "http://127.0.0.1.example/",
		"http://images/":                             "http://images/",
		"http://img.example\u2215evil/":              "http://img.xn--exampleevil-0h8f/", // looks like a slash, and is a letter
	} {
		u, err := g.target(nil, raw)
		require.NoError(t, err, raw)
		require.Equal(t, want, u.String())
	}
}

// TestTargetKeepsNoURL: what comes of a URL outlives the memory that it came in.
func TestTargetKeepsNoURL(t *testing.T) {
	t.Parallel()
	g := &guard{ports: []int{80, 443}}
	raw := []byte("https://img.example/a/b?c")
	u, err := g.target(nil, unsafe.String(&raw[0], len(raw)))
	require.NoError(t, err)
	host := u.Host
	for i := range raw {
		raw[i] = 0xf9
	}
	require.Equal(t, "img.example", host)
}

func TestTargetResolvesRedirects(t *testing.T) {
	t.Parallel()
	g := &guard{ports: []int{80, 443}}
	base, err := g.target(nil, "https://img.example/a/b?c")
	require.NoError(t, err)
	for ref, want := range map[string]string{
		"d": "https://img.example/a/d", "/d": "https://img.example/d", "?d": "https://img.example/a/b?d",
		"//cdn.example/d": "https://cdn.example/d", "http://cdn.example/d": "http://cdn.example/d", "../../../d": "https://img.example/d",
	} {
		u, err := g.target(base, ref)
		require.NoError(t, err, ref)
		require.Equal(t, want, u.String())
	}
	for _, ref := range []string{
		"//10.0.0.1/", "//user@cdn.example/", "http://127.1/", "file:///etc/passwd", "//cdn.example:22/", "http:d", "https:///d",
	} {
		_, err := g.target(base, ref)
		require.Error(t, err, ref)
		requireReason(t, schemas.ReasonForbidden, err)
	}
}

// FuzzTarget: what passes keeps its meaning, for us and for parsers more generous than ours.
func FuzzTarget(f *testing.F) {
	for _, h := range hostileURLs(f) {
		f.Add(h.URL)
	}
	f.Add("https://bücher.example/ü?x=1#f")
	f.Add("http://8.8.8.8:80/")
	f.Add("http://[2606:4700::1111]/")
	g := &guard{ports: []int{80, 443}}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := g.target(nil, raw)
		if err != nil {
			requireReason(t, schemas.ReasonForbidden, err)
			return
		}
		again, err := g.target(nil, u.String())
		require.NoError(t, err)
		require.Equal(t, u.String(), again.String())

		read, err := url.Parse(u.String())
		require.NoError(t, err)
		require.Nil(t, read.User)
		require.Contains(t, []string{"http", "https"}, read.Scheme)
		require.Contains(t, []string{"", "80", "443"}, read.Port())
		require.NotEmpty(t, read.Hostname())
		if a, ok := generous(read.Hostname()); ok {
			require.NoError(t, g.addr(a))
			require.Equal(t, a.String(), read.Hostname())
		} else if a, err := netip.ParseAddr(read.Hostname()); err == nil {
			require.NoError(t, g.addr(a))
		}
		require.False(t, slices.ContainsFunc([]byte(u.String()), func(c byte) bool { return c <= ' ' || c >= 0x7f }))
	})
}

// generous reads an IPv4 address as C's inet_aton does: one to four parts, each decimal, octal or hexadecimal.
func generous(host string) (netip.Addr, bool) {
	parts := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 0, 64)
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		if err != nil || strings.ContainsAny(p, "_bBoO") || n >= 1<<bits {
			return netip.Addr{}, false
		}
		sum = sum<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}
