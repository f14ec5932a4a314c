package media

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// maxURL bounds a URL, in bytes. Signed ones take about 2,000.
const maxURL = 8192

// maxHost bounds a host before it is mapped, which takes the square of its length. A name has at most 253 letters, and a
// letter of another script at most 4 bytes.
const maxHost = 4 * 253

// Names of metadata services. Their addresses are refused anyway; a name costs no look-up.
var metadataNames = []string{
	"metadata", "instance-data", "metadata.google.internal", "metadata.goog", "metadata.tencentyun.com",
	"instance-data.ec2.internal", "metadata.azure.internal", "metadata.platformequinix.com",
}

// names maps a host as browsers do before a look-up, except that underscores pass: buckets have them.
var names = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.BidiRule())

// target reads a URL as it stands in a post, or in the answer of base, and refuses whatever can be refused without a look-up.
// What it returns is in the one spelling in which it will be requested.
func (g *guard) target(base *url.URL, ref string) (*url.URL, error) {
	if len(ref) > maxURL {
		return nil, forbidden("the URL has %d bytes, %d are allowed", len(ref), maxURL)
	}
	u, err := url.Parse(ref)
	if err != nil {
		var fault *url.Error // it repeats the whole URL
		if errors.As(err, &fault) {
			err = fault.Err
		}
		return nil, forbidden("the URL cannot be read: %w", err)
	}
	if base != nil {
		u = base.ResolveReference(u)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, forbidden("scheme %q is neither http nor https", u.Scheme)
	case u.Opaque != "":
		return nil, forbidden("the URL has no host")
	case u.User != nil:
		return nil, forbidden("the URL carries a user name")
	}
	port := u.Port()
	number := 80
	switch {
	case port != "":
		if number, err = strconv.Atoi(port); err != nil {
			return nil, forbidden("port %q is no number", port)
		}
	case u.Scheme == "https":
		number = 443
	}
	if err := g.port(number); err != nil {
		return nil, err
	}
	host, err := g.host(u)
	if err != nil {
		return nil, err
	}
	// Hosts are remembered for longer than the memory that URLs come in may last.
	clean := &url.URL{Scheme: u.Scheme, Host: strings.Clone(host), Path: u.Path, RawPath: u.RawPath, RawQuery: escapeQuery(u.RawQuery)}
	if port != "" {
		clean.Host += ":" + strconv.Itoa(number)
	}
	if n := len(clean.String()); n > maxURL { // escapes take more than what they stand for
		return nil, forbidden("the URL has %d bytes when written out, %d are allowed", n, maxURL)
	}
	return clean, nil
}

// escapeQuery escapes what may not stand in a request line. net/url leaves a query as it is.
func escapeQuery(query string) string {
	var b strings.Builder
	for _, c := range []byte(query) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// host returns the host of u as it will be looked up or, if it is an address, dialled; an IPv6 address in its brackets.
func (g *guard) host(u *url.URL) (string, error) {
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		a, err := netip.ParseAddr(host)
		if err != nil || !a.Is6() {
			return "", forbidden("[%s] is no IPv6 address", host)
		}
		return "[" + a.String() + "]", g.addr(a)
	}
	if len(host) > maxHost {
		return "", forbidden("the host has %d bytes, %d are allowed", len(host), maxHost)
	}
	name, err := names.ToASCII(host)
	if err != nil {
		return "", forbidden("host %q is no name: %w", host, err)
	}
	name = strings.TrimSuffix(name, ".")
	// Some names map to what would itself be refused.
	if again, err := names.ToASCII(name); err != nil || again != name || !isName(name) {
		return "", forbidden("host %q is no name", host)
	}
	if a, err := netip.ParseAddr(name); err == nil {
		return a.String(), g.addr(a)
	}
	// The libraries of some systems read 127.1, 0177.0.0.1, 0x7f000001 and 2130706433 as 127.0.0.1.
	if last := name[strings.LastIndexByte(name, '.')+1:]; isNumber(last) {
		return "", forbidden("host %q is an address in an odd spelling", host)
	}
	if slices.Contains(metadataNames, name) {
		return "", forbidden("host %q is a metadata service", host)
	}
	return name, nil
}

// isName tells whether s is a name that DNS can hold: labels of letters, digits, - and _.
func isName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
			if !letter && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// isNumber tells whether a parser of C's kind might read s as a number.
func isNumber(s string) bool {
	digits, set := s, "0123456789"
	if rest, ok := strings.CutPrefix(s, "0x"); ok {
		digits, set = rest, "0123456789abcdef"
	}
	return strings.Trim(digits, set) == ""
}
