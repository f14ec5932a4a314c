package media

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config is what operators set.
type Config struct {
	// AllowNetworks are CIDR ranges that may be reached although they are not public: an internal image host. Metadata services
	// stay out of reach.
	AllowNetworks []string `mapstructure:"allow_networks"`
	// DenyNetworks are CIDR ranges that may not be reached although they are public: the operator's own. They stand before
	// AllowNetworks.
	DenyNetworks []string `mapstructure:"deny_networks"`
	// Ports may be reached, on any host.
	Ports []int `mapstructure:"ports"`
	// Proxy is the URL of an HTTP proxy; empty goes directly, whatever the environment says. With one, it is the proxy that
	// looks hosts up, so it is the proxy that must refuse private addresses: only addresses written in URLs are refused here.
	Proxy     string `mapstructure:"proxy"`
	UserAgent string `mapstructure:"user_agent"`
	// Timeout bounds one image, with all redirects and retries; waiting for a turn is not counted.
	Timeout time.Duration `mapstructure:"timeout"`
	// ConnectTimeout bounds the look-up and the connection, HeaderTimeout the wait for an answer's header.
	ConnectTimeout time.Duration `mapstructure:"connect_timeout"`
	HeaderTimeout  time.Duration `mapstructure:"header_timeout"`
	// MinBytesPerSecond is how fast a body must arrive; 0 lets it take the whole Timeout.
	MinBytesPerSecond int64 `mapstructure:"min_bytes_per_second"`
	// MaxRedirects is how many are followed, MaxRetries how often a busy or broken answer is asked for again.
	MaxRedirects int `mapstructure:"max_redirects"`
	MaxRetries   int `mapstructure:"max_retries"`
	// Concurrency is how many requests run at once, ConcurrencyPerHost how many of them to one host.
	Concurrency        int `mapstructure:"concurrency"`
	ConcurrencyPerHost int `mapstructure:"concurrency_per_host"`
	// A host that failed HostFailures times in a row, or took more than half of Timeout, is left alone for HostPause: its images
	// are unreachable at once. 0 failures never pause.
	HostFailures int           `mapstructure:"host_failures"`
	HostPause    time.Duration `mapstructure:"host_pause"`
}

// DefaultConfig suits images of public networks.
func DefaultConfig() Config {
	return Config{
		Ports:              []int{80, 443},
		UserAgent:          "itrstream (+https://github.com/itrstream/itrstream)",
		Timeout:            15 * time.Second,
		ConnectTimeout:     5 * time.Second,
		HeaderTimeout:      5 * time.Second,
		MinBytesPerSecond:  8 << 10,
		MaxRedirects:       4,
		MaxRetries:         2,
		Concurrency:        64,
		ConcurrencyPerHost: 16,
		HostFailures:       8,
		HostPause:          20 * time.Second,
	}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	check := func(ok bool, key string, value any, allowed string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s is %v: %s", key, value, allowed))
		}
	}
	_, err := parseNetworks("allow_networks", c.AllowNetworks)
	faults = append(faults, err)
	_, err = parseNetworks("deny_networks", c.DenyNetworks)
	faults = append(faults, err)
	check(len(c.Ports) > 0, "ports", "empty", "at least one is needed, such as 443")
	for _, p := range c.Ports {
		check(p >= 1 && p <= 65_535, "ports", p, "1 to 65535 are allowed")
	}
	_, err = parseProxy(c.Proxy)
	faults = append(faults, err)
	check(strings.IndexFunc(c.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) < 0,
		"user_agent", fmt.Sprintf("%q", c.UserAgent), "printable ASCII is allowed")
	check(c.Timeout > 0 && c.Timeout <= 10*time.Minute, "timeout", c.Timeout, "more than 0 to 10m is allowed")
	check(c.ConnectTimeout > 0 && c.ConnectTimeout <= c.Timeout, "connect_timeout", c.ConnectTimeout,
		fmt.Sprintf("more than 0 to timeout (%v) is allowed", c.Timeout))
	check(c.HeaderTimeout > 0 && c.HeaderTimeout <= c.Timeout, "header_timeout", c.HeaderTimeout,
		fmt.Sprintf("more than 0 to timeout (%v) is allowed", c.Timeout))
	check(c.MinBytesPerSecond >= 0 && c.MinBytesPerSecond <= 1<<20, "min_bytes_per_second", c.MinBytesPerSecond,
		"0 (no lower bound) to 1048576 are allowed")
	check(c.MaxRedirects >= 0 && c.MaxRedirects <= 20, "max_redirects", c.MaxRedirects, "0 to 20 are allowed")
	check(c.MaxRetries >= 0 && c.MaxRetries <= 10, "max_retries", c.MaxRetries, "0 to 10 are allowed")
	check(c.Concurrency >= 1 && c.Concurrency <= 10_000, "concurrency", c.Concurrency, "1 to 10000 are allowed")
	check(c.ConcurrencyPerHost >= 1 && c.ConcurrencyPerHost <= c.Concurrency, "concurrency_per_host", c.ConcurrencyPerHost,
		fmt.Sprintf("1 to concurrency (%d) are allowed", c.Concurrency))
	check(c.HostFailures >= 0, "host_failures", c.HostFailures, "0 (never pause) or more is allowed")
	check(c.HostFailures == 0 || c.HostPause > 0, "host_pause", c.HostPause, "more than 0 is needed; host_failures: 0 turns it off")
	return errors.Join(faults...)
}

func parseNetworks(key string, texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	var faults []error
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("%s is %q: a range such as 10.1.0.0/16 or fd12::/48 is needed", key, text))
		case p != p.Masked():
			faults = append(faults, fmt.Errorf("%s is %q: it has bits beyond its mask, %s is meant or a longer mask", key, text, p.Masked()))
		case p.Addr().Is4In6():
			faults = append(faults, fmt.Errorf("%s is %q: write it as a range of IPv4", key, text))
		default:
			networks = append(networks, p)
		}
	}
	return networks, errors.Join(faults...)
}

// parseProxy returns nil for none. Its errors don't show the URL's password.
func parseProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no proxy is no error
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("proxy cannot be read: a URL such as http://proxy.example:3128 is needed")
	case u.User != nil:
		return nil, errors.New("proxy carries a user name: only proxies without a login are supported")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, fmt.Errorf("proxy is %q: a URL such as http://proxy.example:3128 is needed", text)
	}
	return u, nil
}

// Settings is what the wiring sets.
type Settings struct {
	// MaxBytes is the most one image may have: max_bytes of stages/media.
	MaxBytes int64
	Log      *slog.Logger
	Metrics  *Metrics
}
