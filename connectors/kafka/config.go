package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"github.com/itrstream/itrstream/connectors"
)

// Values of Config.Delivery and Config.Start.
const (
	ExactlyOnce = "exactly_once"
	AtLeastOnce = "at_least_once"

	StartEarliest = "earliest"
	StartLatest   = "latest"
)

// Config is set by operators.
type Config struct {
	Brokers  []string `mapstructure:"brokers"` // host:port; empty means embedded, which the pipeline decides
	ClientID string   `mapstructure:"client_id"`
	Group    string   `mapstructure:"group"`
	Delivery string   `mapstructure:"delivery"` // exactly_once, at_least_once
	Start    string   `mapstructure:"start"`    // earliest, latest: where a partition without a committed offset begins

	// TransactionTimeout is how long the broker lets a batch's transaction
	// last: readers of what was emitted wait that long for a worker that died,
	// unless its partitions are taken over before. With exactly_once only.
	TransactionTimeout time.Duration `mapstructure:"transaction_timeout"`

	TLS  TLS  `mapstructure:"tls"`
	SASL SASL `mapstructure:"sasl"`

	FetchMaxBytes int           `mapstructure:"fetch_max_bytes"` // one response for one partition, and less where Settings.Room is short
	FetchMaxWait  time.Duration `mapstructure:"fetch_max_wait"`  // how long a broker holds an empty answer back
	// RecordMaxBytes bounds the memory one record may take after decompression;
	// what a longer one has beyond is cut off.
	RecordMaxBytes int `mapstructure:"record_max_bytes"`

	SessionTimeout    time.Duration `mapstructure:"session_timeout"`
	RebalanceTimeout  time.Duration `mapstructure:"rebalance_timeout"`
	HeartbeatInterval time.Duration `mapstructure:"heartbeat_interval"`

	Compression string `mapstructure:"compression"` // none, gzip, snappy, lz4, zstd
}

// TLS says how connections are encrypted. Files are PEM.
type TLS struct {
	Enabled    bool   `mapstructure:"enabled"`
	CAFile     string `mapstructure:"ca_file"`     // empty: the system's authorities
	CertFile   string `mapstructure:"cert_file"`   // our certificate, when brokers ask for one
	KeyFile    string `mapstructure:"key_file"`    // its key
	ServerName string `mapstructure:"server_name"` // empty: the broker's host name
}

// SASL says who we are.
type SASL struct {
	Mechanism    string            `mapstructure:"mechanism"` // empty for none, plain, scram-sha-256, scram-sha-512
	Username     string            `mapstructure:"username"`
	Password     connectors.Secret `mapstructure:"password"`
	PasswordFile string            `mapstructure:"password_file"`
}

// DefaultConfig returns what applies where operators say nothing.
func DefaultConfig() Config {
	return Config{
		ClientID:           "itrstream",
		Group:              "itrstream",
		Delivery:           ExactlyOnce,
		Start:              StartEarliest,
		TransactionTimeout: time.Minute,
		FetchMaxBytes:      10 << 20,
		FetchMaxWait:       500 * time.Millisecond,
		RecordMaxBytes:     32 << 20,
		SessionTimeout:     30 * time.Second,
		RebalanceTimeout:   60 * time.Second,
		HeartbeatInterval:  3 * time.Second,
		Compression:        "lz4",
	}
}

var codecs = map[string]compress.Compression{
	"none": compress.None, "gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd,
}

const maxBytesLimit = 1 << 30 // Arrow's 32-bit offsets hold twice that

// Validate reports every fault, each with its key, its value and what is
// allowed.
func (c Config) Validate() error {
	var errs []error
	fault := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("%s: %v: must be %s", key, value, allowed))
	}
	oneOf := func(key, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			fault(key, fmt.Sprintf("%q", value), "one of "+strings.TrimPrefix(strings.Join(allowed, ", "), ", "))
		}
	}
	for i, b := range c.Brokers {
		if host, port, err := net.SplitHostPort(b); err != nil || host == "" || port == "" {
			fault(fmt.Sprintf("brokers[%d]", i), fmt.Sprintf("%q", b), "host:port")
		}
	}
	if c.Group == "" {
		fault("group", `""`, "the name of a consumer group")
	}
	oneOf("delivery", c.Delivery, ExactlyOnce, AtLeastOnce)
	if c.TransactionTimeout < time.Second || c.TransactionTimeout > 24*time.Hour {
		fault("transaction_timeout", c.TransactionTimeout, "between 1s and 24h, and at most the brokers' transaction.max.timeout.ms (15m by default)")
	}
	oneOf("start", c.Start, StartEarliest, StartLatest)
	oneOf("compression", c.Compression, "none", "gzip", "snappy", "lz4", "zstd")
	for _, b := range []struct {
		key   string
		value int
	}{{"fetch_max_bytes", c.FetchMaxBytes}, {"record_max_bytes", c.RecordMaxBytes}} {
		if b.value < 1<<10 || b.value > maxBytesLimit {
			fault(b.key, b.value, fmt.Sprintf("between %d and %d bytes", 1<<10, maxBytesLimit))
		}
	}
	if c.FetchMaxWait < time.Millisecond || c.FetchMaxWait > 10*time.Second {
		fault("fetch_max_wait", c.FetchMaxWait, "between 1ms and 10s")
	}
	if c.HeartbeatInterval < 10*time.Millisecond {
		fault("heartbeat_interval", c.HeartbeatInterval, "10ms at least")
	}
	if c.SessionTimeout < time.Millisecond || c.SessionTimeout < 3*c.HeartbeatInterval || c.SessionTimeout > time.Hour {
		fault("session_timeout", c.SessionTimeout, fmt.Sprintf("between three times heartbeat_interval (%s) and 1h", 3*c.HeartbeatInterval))
	}
	if c.RebalanceTimeout < time.Second || c.RebalanceTimeout > time.Hour {
		fault("rebalance_timeout", c.RebalanceTimeout, "between 1s and 1h")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		fault("tls.cert_file", fmt.Sprintf("%q with tls.key_file %q", c.TLS.CertFile, c.TLS.KeyFile), "given together with tls.key_file, or neither")
	}
	if !c.TLS.Enabled && c.TLS != (TLS{}) {
		fault("tls.enabled", false, "true when other tls keys are set")
	}
	oneOf("sasl.mechanism", c.SASL.Mechanism, "", "plain", "scram-sha-256", "scram-sha-512")
	if c.SASL.Mechanism == "" {
		if c.SASL != (SASL{}) {
			fault("sasl.mechanism", `""`, "given when other sasl keys are set")
		}
	} else {
		if c.SASL.Username == "" {
			fault("sasl.username", `""`, "given when sasl.mechanism is")
		}
		if (c.SASL.Password == "") == (c.SASL.PasswordFile == "") {
			fault("sasl.password", "both or neither of sasl.password and sasl.password_file are set", "one of the two")
		}
	}
	return errors.Join(errs...)
}

// Settings are set by the wiring.
type Settings struct {
	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: the clock
	// Metrics may be nil.
	Metrics *Metrics
	// Room bounds what all Fetchers hold of answers together; nil: nothing does.
	Room *Room
	// Joined is told of each generation of the group how many partitions it
	// gives to Consume, and −1 when it ends; nil: nobody asks.
	Joined func(partitions int)
}
