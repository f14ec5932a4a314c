package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
)

const (
	// requestTimeout is how long a broker may take for an answer, beyond what
	// it is asked to wait. A silent network shows after this long.
	requestTimeout = 20 * time.Second
	dialTimeout    = 10 * time.Second
	// metadataTTL bounds how old the transport's view of the cluster is.
	metadataTTL = 2 * time.Second
)

// Client is a process's way to one Kafka cluster. It is safe for concurrent
// use.
type Client struct {
	cfg       Config
	log       *slog.Logger
	now       func() time.Time
	metrics   *Metrics
	joined    func(partitions int)
	room      *Room
	codec     compress.Compression
	addr      net.Addr
	tls       *tls.Config
	sasl      sasl.Mechanism
	transport *kafkago.Transport
	admin     *kafkago.Client
	dialer    *kafkago.Dialer
	clusterID string

	correlation atomic.Int32
	turn        atomic.Uint32 // round robin of records without a key

	mu     sync.Mutex
	limits map[string]int // what a batch for a topic may have in bytes, once a broker has refused one
}

// Dial reaches the cluster, or says which brokers did not answer and why.
func Dial(ctx context.Context, cfg Config, set Settings) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	if len(cfg.Brokers) == 0 {
		return nil, errors.New("kafka: brokers: empty: must name at least one host:port")
	}
	tlsConfig, err := cfg.TLS.config()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	mechanism, err := cfg.SASL.mechanism()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	c := &Client{
		cfg:     cfg,
		log:     set.Log,
		now:     set.Now,
		metrics: set.Metrics,
		joined:  set.Joined,
		room:    set.Room,
		codec:   codecs[cfg.Compression],
		addr:    kafkago.TCP(cfg.Brokers...),
		limits:  make(map[string]int),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.joined == nil {
		c.joined = func(int) {}
	}
	c.tls, c.sasl = tlsConfig, mechanism
	c.transport = c.newTransport(metadataTTL)
	c.dialer = &kafkago.Dialer{
		ClientID:      cfg.ClientID,
		Timeout:       dialTimeout,
		TLS:           tlsConfig,
		SASLMechanism: mechanism,
	}
	c.admin = &kafkago.Client{Addr: c.addr, Transport: c.transport}

	if cfg.SASL.Mechanism == "plain" && !cfg.TLS.Enabled {
		c.log.WarnContext(ctx, "kafka: sasl.mechanism plain without TLS shows the password to the network: set kafka.tls.enabled, or use scram-sha-512")
	}
	meta, err := c.metadata(ctx)
	if err != nil {
		c.Close()
		if errors.Is(err, kafkago.SASLAuthenticationFailed) {
			// Some brokers refuse by closing the connection; at this point that
			// is more likely than one that just goes down.
			return nil, fmt.Errorf("kafka: %s refused user %s: check kafka.sasl: %w",
				strings.Join(cfg.Brokers, ", "), cfg.SASL.Username, kafkago.SASLAuthenticationFailed)
		}
		return nil, fmt.Errorf("kafka: no broker of %s answered: %s: %w", strings.Join(cfg.Brokers, ", "), cfg.advice(err), err)
	}
	c.clusterID = meta.ClusterID
	return c, nil
}

func (c *Client) newTransport(ttl time.Duration) *kafkago.Transport {
	return &kafkago.Transport{
		Dial:        (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		DialTimeout: dialTimeout,
		MetadataTTL: ttl,
		ClientID:    c.cfg.ClientID,
		TLS:         c.tls,
		SASL:        c.sasl,
	}
}

// Close ends all connections. Calls that are under way end by their own
// contexts.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// ClusterID returns the cluster's own id, which result ids are made of.
func (c *Client) ClusterID(context.Context) (string, error) {
	if c.clusterID == "" {
		return "", errors.New("kafka: the brokers tell no cluster id; Kafka 0.11 or later is needed")
	}
	return c.clusterID, nil
}

// roundTrip sends a request with a deadline of its own, for a connection that
// has gone silent would hold the caller forever.
func (c *Client) roundTrip(ctx context.Context, wait time.Duration, req protocol.Message) (protocol.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout+wait)
	defer cancel()
	return c.transport.RoundTrip(ctx, c.addr, req)
}

// metadata returns the transport's view of topics, of all when none is named.
func (c *Client) metadata(ctx context.Context, topics ...string) (*kafkago.MetadataResponse, error) {
	call, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	meta, err := c.admin.Metadata(call, &kafkago.MetadataRequest{Topics: topics})
	return meta, classify(ctx, "asking for metadata", err)
}

// partitions returns how many partitions a topic has.
func (c *Client) partitions(ctx context.Context, topic string) (int, error) {
	meta, err := c.metadata(ctx, topic)
	if err != nil {
		return 0, err
	}
	for _, t := range meta.Topics {
		if t.Name == topic && t.Error == nil && len(t.Partitions) > 0 {
			return len(t.Partitions), nil
		}
	}
	return 0, classify(ctx, "looking up topic "+topic, kafkago.UnknownTopicOrPartition)
}
