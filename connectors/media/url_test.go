package media

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/schemas"
)

var refusedURLs = []string{
	"", " ", "image.png", "/image.png", "//img.example/a.png", "?q", "#f",
	"ftp://img.example/a.png", "file:///etc/passwd", "gopher://img.example/", "data:image/png;base64,AAAA", "javascript:alert(1)",
	"http:img.example/a.png", "http:/img.example", "http://", "http:///a.png", "https://?q", "http://:80/",
	"http://user@img.example/", "http://user:secret@img.example/", "http://@img.example/", "http://8.8.8.8@10.0.0.1/",
	"http://img.example:22/", "http://img.example:8080/", "http://img.example:0/", "http://img.example:65536/",
	"http://img.example:99999999999999999999/", "http://img.example:-80/", "http://img.example:80a/",
	// Addresses, and all the spellings that one parser or another takes for one.
	"http://127.0.0.1/", "http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://0.0.0.0/", "http://255.255.255.255/",
	"http://127.1/", "http://127.0.1/", "http://0/", "http://2130706433/", "http://017700000001/", "http://0x7f000001/",
	"http://0x7f.1/", "http://0X7F.0.0.1/", "http://0177.0.0.1/", "http://127.0.0.01/", "http://0x7f.0x0.0x0.0x1/", "http://127.0.0.0x1/",
	"http://4294967297/", "http://127.0.0.1./", "http://127.0.0.1../", "http://1.2.3/", "http://1.2.3.4.5/", "http://256.256.256.256/",
	"http://8.8.8.08/", "http://134744072/", "http://0x/", "http://a.0x/", "http://img.example.1/",
	"http://①②⑦.⓪.⓪.①/", "http://１２７.０.０.１/", "http://127。0。0。1/", "http://127\u00ad.0.0.1/",
	"http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:0:0:1]/",
	"http://[fe80::1]/", "http://[fe80::1%25eth0]/", "http://[2606:4700::1111%25eth0]/", "http://[fd00:ec2::254]/",
	"http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[::127.0.0.1]/", "http://[127.0.0.1]/", "http://[8.8.8.8]/",
	"http://[v1.fe80]/", "http://[]/", "http://[::1/", "http://::1/", "http://::ffff:8.8.8.8/",
	// Metadata services by name.
	"http://metadata.google.internal/", "http://METADATA.google.internal./", "http://metadata/", "http://instance-data/",
	"http://ｍetadata.goog/",
	// No names.
	"http://a..b/", "http://.img.example/", "http://img.example../", "http://a b/", "http://a%00b/", "http://a%2eb/", "http://a\\b/",
	"http://img.example\\@10.0.0.1/", "http://img.example,evil/", "http://a*b/", "http://a!b/", "http://xn--a/", "http://xn--zzzzzz99999/",
	"http://" + strings.Repeat("a", 64) + ".example/", "http://" + strings.Repeat("a.", 130) + "example/",
	"http://img.example/\x00", "http://img.example/\r\nHost: evil", "http://img.example/%", "http://img.exa\tmple/",
	"http://img.example/" + strings.Repeat("a", maxURL), "http://img.example/" + strings.Repeat("ü", maxURL/3),
}

func TestTargetRefuses(t *testing.T) {
	t.Parallel()
	g := &guard{ports: []int{80, 443}}
	for _, raw := range refusedURLs {
		_, err := g.target(nil, raw)
		require.Error(t, err, raw)
		requireReason(t, schemas.ReasonForbidden, err)
	}
	_, err := g.target(nil, "http://"+strings.Repeat("ü", maxHost/2+1))
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
	} {
		u, err := g.target(nil, raw)
		require.NoError(t, err, raw)
		require.Equal(t, want, u.String())
	}
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
	for _, raw := range refusedURLs {
		f.Add(raw)
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
