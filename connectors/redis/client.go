package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/itrstream/itrstream/stages"
)

// Client is a pool of connections to one Redis server. It is safe for
// concurrent use.
type Client struct {
	addr string
	how  string // with or without TLS
	rdb  *goredis.Client
	log  *slog.Logger
}

// The library prints to standard error what it returns as an error, too.
var silence = sync.OnceFunc(func() { goredis.SetLogger(noLog{}) })

type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}

// Dial connects, checks the credentials, and warns when the server might drop
// keys. A server that does not answer is *stages.Transient, refused
// credentials are not.
func Dial(ctx context.Context, c Config, s Settings) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Addr == "" {
		return nil, errors.New("redis: no addr")
	}
	password, err := c.password()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := c.TLS.config(c.Addr)
	if err != nil {
		return nil, err
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	silence()
	how := "without TLS"
	if c.TLS.Enabled {
		how = "with TLS"
	}
	cl := &Client{addr: c.Addr, how: how, log: s.Log, rdb: goredis.NewClient(&goredis.Options{
		Addr: c.Addr, Username: c.Username, Password: password, DB: c.DB, TLSConfig: tlsConfig,
		DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout,
		ContextTimeoutEnabled: true,
		// The runner repeats what fails, and pauses the fetch meanwhile.
		MaxRetries: -1, DialerRetries: 1,
		DisableIdentity: true,
	})}
	if err := cl.rdb.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(cl.classify("connect", err), cl.Close())
	}
	cl.checkEviction(ctx)
	return cl, nil
}

// Ping asks whether the server answers.
func (c *Client) Ping(ctx context.Context) error {
	return c.classify("ping", c.rdb.Ping(ctx).Err())
}

// Close closes the connections.
func (c *Client) Close() error {
	if err := c.rdb.Close(); err != nil && !errors.Is(err, goredis.ErrClosed) {
		return fmt.Errorf("redis: close: %w", err)
	}
	return nil
}

// checkEviction warns of a server that drops keys when its memory is full: a
// cursor without its rows is worse than no write at all.
func (c *Client) checkEviction(ctx context.Context) {
	info, err := c.rdb.Info(ctx, "memory").Result()
	if err != nil {
		c.log.DebugContext(ctx, "could not read redis's maxmemory-policy; it must be noeviction", "addr", c.addr, "error", err)
		return
	}
	for line := range strings.Lines(info) {
		policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:")
		if ok && policy != "noeviction" {
			c.log.WarnContext(ctx, "redis may drop centroids when its memory is full: set maxmemory-policy noeviction",
				"addr", c.addr, "maxmemory_policy", policy)
		}
	}
}

// transientReplies are what a server says that will be itself again: it is
// loading, failing over, short of memory or disk, or busy.
var transientReplies = []string{
	"LOADING", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "OOM", "MISCONF", "NOREPLICAS",
	"ERR max number of clients reached",
}

// refusals are what a server says to somebody who may not.
var refusals = []string{"WRONGPASS", "NOAUTH", "NOPERM", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH"}

// classify makes an error one of ours. Whatever the server itself answers is
// permanent unless it says that it will pass; a connection that fails is
// transient, except for a certificate that does not.
func (c *Client) classify(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("redis: %s: %w", what, err)
	case startsWithAny(err.Error(), refusals):
		return fmt.Errorf("redis: %s: %s refuses us: check redis.username, redis.password or redis.password_file, and the user's ACL "+
			"(it needs the keys of its namespace, and +@hash +@string +@scripting +@transaction +@connection +info +del +unlink +pttl): %w", what, c.addr, err)
	case startsWithAny(err.Error(), transientReplies):
		return &stages.Transient{Err: fmt.Errorf("redis: %s: %s: %w", what, c.addr, err)}
	}
	var reply goredis.Error
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert *net.OpError // a TLS alert is of no type that can be named
	if errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid) || errors.As(err, &verify) ||
		errors.As(err, &record) || errors.As(err, &alert) && alert.Op == "remote error" {
		return fmt.Errorf("redis: %s: %s: check redis.tls: ca_file, cert_file, key_file and server_name: %w", what, c.addr, err)
	}
	if errors.As(err, &reply) {
		return fmt.Errorf("redis: %s: %s: %w", what, c.addr, err)
	}
	return &stages.Transient{Err: fmt.Errorf("redis: %s: %s does not answer %s: %w", what, c.addr, c.how, err)}
}

func startsWithAny(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
