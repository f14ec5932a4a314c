// Package embedded runs a Kafka broker inside this process, so that a
// newcomer needs none: kfake, which speaks the protocol to any client.
// It has one node, no authentication, and listens on loopback only.
//
// Wondering why old records are gone? Read Config.RetentionBytes.
// Want the real one in a test? See package kafkatest.
package embedded

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	// retentionEvery is how often old records are dropped. Until then a
	// partition may hold more than its retention.
	retentionEvery = time.Second
	// segments is into how many pieces the retention of a partition is cut:
	// whole ones are dropped.
	segments        = 8
	minSegmentBytes = 1 << 20
)

// Config is set by operators.
type Config struct {
	// DataDir keeps records and committed offsets across restarts; empty keeps
	// everything in memory only. The log is in memory either way.
	DataDir string `mapstructure:"data_dir"`
	// Listen is a loopback host:port; port 0 picks one.
	Listen string `mapstructure:"listen"`
	// MaxMessageBytes is the default of max.message.bytes of topics.
	MaxMessageBytes int `mapstructure:"max_message_bytes"`
	// RetentionBytes is about how much each partition may hold; 0 is no limit.
	RetentionBytes int `mapstructure:"retention_bytes"`
}

// DefaultConfig returns what applies where operators say nothing.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:0", MaxMessageBytes: 16 << 20, RetentionBytes: 256 << 20}
}

// Validate reports every fault, each with its key, its value and what is
// allowed.
func (c Config) Validate() error {
	var errs []error
	host, port, err := net.SplitHostPort(c.Listen)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		errs = append(errs, fmt.Errorf("listen: %q: must be a loopback host:port, for the embedded broker asks nobody for a password", c.Listen))
	} else if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		errs = append(errs, fmt.Errorf("listen: %q: port %d must be between 0 and 65535", c.Listen, n))
	}
	if c.MaxMessageBytes < 1<<10 || c.MaxMessageBytes > 1<<30 {
		errs = append(errs, fmt.Errorf("max_message_bytes: %d: must be between %d and %d", c.MaxMessageBytes, 1<<10, 1<<30))
	}
	if c.RetentionBytes < 0 {
		errs = append(errs, fmt.Errorf("retention_bytes: %d: must be 0 for no limit, or more", c.RetentionBytes))
	}
	return errors.Join(errs...)
}

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	stop    chan struct{}
	done    sync.WaitGroup
	once    sync.Once
}

// Start starts a broker. Only one may use a data directory.
func Start(cfg Config) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("embedded kafka: %w", err)
	}
	configs := map[string]string{"message.max.bytes": strconv.Itoa(cfg.MaxMessageBytes)}
	if cfg.RetentionBytes > 0 {
		configs["log.retention.bytes"] = strconv.Itoa(cfg.RetentionBytes)
		configs["log.segment.bytes"] = strconv.Itoa(max(cfg.RetentionBytes/segments, minSegmentBytes))
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("itrstream-embedded"),
		kfake.BrokerConfigs(configs),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, cfg.Listen) }), //nolint:noctx // kfake has none to give
	}
	if cfg.DataDir != "" {
		opts = append(opts, kfake.DataDir(cfg.DataDir))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("embedded kafka: listening on %s, data in %q: %w", cfg.Listen, cfg.DataDir, err)
	}
	b := &Broker{cluster: cluster, stop: make(chan struct{})}
	if cfg.RetentionBytes > 0 {
		b.done.Go(b.retain)
	}
	return b, nil
}

// retain drops old records; kfake does so only when told.
func (b *Broker) retain() {
	tick := time.NewTicker(retentionEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-tick.C:
			b.cluster.ApplyRetention()
		}
	}
}

// Addrs returns the broker's host:port, for kafka.Config.Brokers.
func (b *Broker) Addrs() []string { return b.cluster.ListenAddrs() }

// Close stops the broker and, with a data directory, writes everything to it.
// It may be called again.
func (b *Broker) Close() {
	b.once.Do(func() {
		close(b.stop)
		b.done.Wait()
		b.cluster.Close()
	})
}
