package media

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/itrstream/itrstream/schemas"
	stage "github.com/itrstream/itrstream/stages/media"
)

// block is a range of addresses that no image comes from.
type block struct {
	prefix netip.Prefix
	use    string
}

func blockOf(prefix, use string) block { return block{netip.MustParsePrefix(prefix), use} }

// The special-purpose ranges of IANA's registry for IPv4.
var special4 = []block{
	blockOf("0.0.0.0/8", "this network"),
	blockOf("10.0.0.0/8", "private"),
	blockOf("100.64.0.0/10", "carrier-grade NAT"),
	blockOf("127.0.0.0/8", "loopback"),
	blockOf("169.254.0.0/16", "link-local"),
	blockOf("172.16.0.0/12", "private"),
	blockOf("192.0.0.0/24", "protocol assignments"),
	blockOf("192.0.2.0/24", "documentation"),
	blockOf("192.88.99.0/24", "6to4 relay"),
	blockOf("192.168.0.0/16", "private"),
	blockOf("198.18.0.0/15", "benchmarks"),
	blockOf("198.51.100.0/24", "documentation"),
	blockOf("203.0.113.0/24", "documentation"),
	blockOf("224.0.0.0/4", "multicast"),
	blockOf("240.0.0.0/4", "reserved or broadcast"),
}

// In IPv6 only 2000::/3 is handed out to hosts at large; the first group are the exceptions within it, the second gives
// names to what is best known outside.
var special6 = []block{
	blockOf("2001::/23", "Teredo, benchmarks and other protocol assignments"),
	blockOf("2001:db8::/32", "documentation"),
	blockOf("2002::/16", "6to4"),
	blockOf("3fff::/20", "documentation"),

	blockOf("::1/128", "loopback"),
	blockOf("::/96", "unspecified or IPv4-compatible"),
	blockOf("64:ff9b:1::/48", "local NAT64"),
	blockOf("fc00::/7", "unique local"),
	blockOf("fe80::/10", "link-local"),
	blockOf("fec0::/10", "site-local"),
	blockOf("ff00::/8", "multicast"),
}

var (
	global6 = netip.MustParsePrefix("2000::/3")
	// A host of the well-known NAT64 prefix is the IPv4 host in its last four bytes. Networks without IPv4 reach all of it so.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// What hands out credentials to whoever can reach it. No allow_networks opens these.
var metadata = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"), // most clouds
	netip.MustParseAddr("169.254.170.2"),   // Amazon ECS
	netip.MustParseAddr("169.254.170.23"),  // Amazon EKS
	netip.MustParseAddr("168.63.129.16"),   // Azure's host agent, in a public range
	netip.MustParseAddr("100.100.100.200"), // Alibaba
	netip.MustParseAddr("192.0.0.192"),     // Oracle
	netip.MustParseAddr("fd00:ec2::254"),   // Amazon
	netip.MustParseAddr("fd00:ec2::23"),    // Amazon EKS
	netip.MustParseAddr("fd20:ce::254"),    // Google
}

// guard decides what may be reached.
type guard struct {
	allow, deny []netip.Prefix
	ports       []int
}

// addr says why an address must not be reached.
func (g *guard) addr(a netip.Addr) error {
	if !a.IsValid() {
		return forbidden("no address")
	}
	if a.Zone() != "" {
		return forbidden("%s has a zone: it is on a local link", a)
	}
	a = a.Unmap() // the kernel dials ::ffff:10.0.0.1 as 10.0.0.1
	covers := func(p netip.Prefix) bool { return p.Contains(a) }
	switch {
	case slices.Contains(metadata, a):
		return forbidden("%s is a metadata service", a)
	case slices.ContainsFunc(g.deny, covers):
		return forbidden("%s is in deny_networks", a)
	case slices.ContainsFunc(g.allow, covers):
		return nil
	case nat64.Contains(a):
		b := a.As16()
		return g.addr(netip.AddrFrom4([4]byte(b[12:])))
	}
	blocks := special6
	if a.Is4() {
		blocks = special4
	}
	for _, b := range blocks {
		if b.prefix.Contains(a) {
			return forbidden("%s is not a public address (%s)", a, b.use)
		}
	}
	if a.Is6() && !global6.Contains(a) {
		return forbidden("%s is not a public address", a)
	}
	return nil
}

func (g *guard) port(p int) error {
	if !slices.Contains(g.ports, p) {
		return forbidden("port %d is not one of %v", p, g.ports)
	}
	return nil
}

// control is called by the dialler with the very address that it is about to connect to.
func (g *guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return forbidden("dialling %s %s, which is no address", network, address)
	}
	if err := g.port(int(to.Port())); err != nil {
		return err
	}
	return g.addr(to.Addr())
}

func forbidden(format string, args ...any) error {
	return &stage.Failure{Reason: schemas.ReasonForbidden, Err: fmt.Errorf(format, args...)}
}
