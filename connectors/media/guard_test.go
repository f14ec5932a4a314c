package media

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/itrstream/itrstream/schemas"
	stage "github.com/itrstream/itrstream/stages/media"
)

func requireReason(t *testing.T, want schemas.Reason, err error) {
	t.Helper()
	var failure *stage.Failure
	require.ErrorAs(t, err, &failure)
	require.Equal(t, want, failure.Reason, failure.Error())
}

func TestGuardRefusesAddresses(t *testing.T) {
	t.Parallel()
	g := &guard{ports: []int{80}}
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", // this network
		"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", // private
		"100.64.0.1", "100.127.255.255", // carrier-grade NAT
		"127.0.0.1", "127.255.255.255", // loopback
		"169.254.0.1", "169.254.169.254", "169.254.170.2", // link-local and metadata
		"192.0.0.1", "192.0.0.192", "192.0.2.1", "198.51.100.7", "203.0.113.9", // protocols, documentation
		"192.88.99.1", "198.18.0.1", "198.19.255.255", // 6to4 relay, benchmarks
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", // multicast, reserved, broadcast
		"168.63.129.16", "100.100.100.200", // metadata outside link-local
		"::", "::1", "::7f00:1", "::808:808", // unspecified, loopback, IPv4-compatible
		"::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:169.254.169.254", "::ffff:0.0.0.0", // IPv4-mapped
		"::ffff:0:808:808",                                              // IPv4-translated
		"64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", // NAT64
		"64:ff9b:1::1", "64:ff9b:1:2::8.8.8.8", // local NAT64
		"2002:7f00:1::1", "2002:a00:1::", "2002:808:808::1", // 6to4
		"2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", // Teredo
		"2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", // benchmarks, ORCHID, documentation
		"fc00::1", "fd12:3456::1", "fd00:ec2::254", "fd20:ce::254", // unique local and metadata
		"fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", // link-local, site-local, multicast
		"100::1", "4000::1", "5f00::1", "8000::1", "1::1", // outside the global range
		"2606:4700::1111%eth0", // a zone makes any address local
	} {
		requireReason(t, schemas.ReasonForbidden, g.addr(netip.MustParseAddr(a)))
	}
	requireReason(t, schemas.ReasonForbidden, g.addr(netip.Addr{}))
	require.ErrorContains(t, g.addr(netip.MustParseAddr("2606:4700::1111%eth0")), "zone")
}

func TestGuardLetsPublicAddressesPass(t *testing.T) {
	t.Parallel()
	g := &guard{ports: []int{80}}
	for _, a := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
		"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.17",
		"2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "2001:200::1", "3ffe::1",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
	} {
		require.NoError(t, g.addr(netip.MustParseAddr(a)), a)
	}
}

func TestGuardNetworks(t *testing.T) {
	t.Parallel()
	g := &guard{
		allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd12::/16"), netip.MustParsePrefix("0.0.0.0/0")},
		deny:  []netip.Prefix{netip.MustParsePrefix("10.1.7.0/24"), netip.MustParsePrefix("8.8.8.0/24")},
		ports: []int{80},
	}
	for a, want := range map[string]bool{
		"10.1.0.1": true, "::ffff:10.1.0.1": true, "fd12::1": true, "192.168.0.1": true, "64:ff9b::10.1.0.1": true,
		"10.1.7.1": false, "::ffff:10.1.7.1": false, "64:ff9b::10.1.7.1": false, "8.8.8.8": false, "fd13::1": false,
		// No range that an operator writes opens the metadata services.
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "100.100.100.200": false,
	} {
		assert.Equal(t, want, g.addr(netip.MustParseAddr(a)) == nil, a)
	}
}

// An independent opinion: net/netip's own predicates.
func TestGuardNeverPassesWhatNetipCallsLocal(t *testing.T) {
	t.Parallel()
	g := &guard{ports: []int{80}}
	rapid.Check(t, func(t *rapid.T) {
		var a netip.Addr
		if b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"); rapid.Bool().Draw(t, "v4") {
			a = netip.AddrFrom4([4]byte(b[:4]))
		} else {
			a = netip.AddrFrom16([16]byte(b))
		}
		if g.addr(a) != nil {
			return
		}
		if a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || !a.IsGlobalUnicast() {
			t.Fatalf("%s passed", a)
		}
	})
}

func TestControlChecksWhatIsDialled(t *testing.T) {
	t.Parallel()
	g := &guard{ports: []int{80, 443}}
	for address, want := range map[string]bool{
		"8.8.8.8:80": true, "[2606:4700::1111]:443": true,
		"8.8.8.8:22": false, "127.0.0.1:80": false, "[::1]:443": false, "[fe80::1%lo]:80": false, "example.com:80": false, "": false,
	} {
		err := g.control(t.Context(), "tcp", address, nil)
		assert.Equal(t, want, err == nil, "%s: %v", address, err)
		var failure *stage.Failure
		assert.Equal(t, err != nil, errors.As(err, &failure), address)
	}
}
