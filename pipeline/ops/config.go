package ops

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"
)

// Config is what operators set about the listener.
type Config struct {
	// Addr is the host:port that is listened on, plain HTTP; empty: none. The
	// default is for this machine alone: whoever reaches it sees topics, offsets and
	// addresses, though no posts.
	Addr string `mapstructure:"addr"`
	// PProf serves profiles below /debug/pprof.
	PProf bool `mapstructure:"pprof"`
	// StuckAfter is how long a stage may work on one batch before the process
	// counts as stuck. Waiting for Kafka or Redis is no work.
	StuckAfter time.Duration `mapstructure:"stuck_after"`
}

// DefaultConfig listens on the port that OpenTelemetry's exporters of
// Prometheus metrics use.
func DefaultConfig() Config {
	return Config{Addr: "127.0.0.1:9464", StuckAfter: 5 * time.Minute}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var errs []error
	if c.Addr != "" {
		_, port, err := net.SplitHostPort(c.Addr)
		if n, atoi := strconv.Atoi(port); err != nil || atoi != nil || n < 0 || n > 65535 {
			errs = append(errs, fmt.Errorf("addr: %q: must be host:port, or empty for no listener", c.Addr))
		}
	}
	if c.StuckAfter < time.Second || c.StuckAfter > 24*time.Hour {
		errs = append(errs, fmt.Errorf("stuck_after: %s: must be between 1s and 24h", c.StuckAfter))
	}
	return errors.Join(errs...)
}

// TracingConfig is what operators set about traces.
type TracingConfig struct {
	// Endpoint is the base URL of an OTLP receiver over HTTP, as in
	// http://127.0.0.1:4318; spans go to its /v1/traces. Empty: no spans.
	Endpoint string `mapstructure:"endpoint"`
	// Sample is the share of posts without a trace of their own that get one.
	// A post that comes with a trace does as that says.
	Sample float64 `mapstructure:"sample"`
}

// DefaultTracing sends nothing.
func DefaultTracing() TracingConfig { return TracingConfig{Sample: 0.01} }

// Validate reports every fault.
func (c TracingConfig) Validate() error {
	var errs []error
	if c.Endpoint != "" {
		if u, err := url.Parse(c.Endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			errs = append(errs, errors.New("endpoint: must be a URL such as http://127.0.0.1:4318, without a login, or empty for no traces"))
		}
	}
	if !(c.Sample >= 0 && c.Sample <= 1) {
		errs = append(errs, fmt.Errorf("sample: %v: must be between 0 and 1", c.Sample))
	}
	return errors.Join(errs...)
}
