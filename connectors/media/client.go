package media

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/itrstream/itrstream/schemas"
	stage "github.com/itrstream/itrstream/stages/media"
)

var _ stage.Fetcher = (*Client)(nil)

// Client fetches images. It may be used by many at the same time.
type Client struct {
	cfg       Config
	maxBytes  int64
	pace      pace
	guard     *guard
	turns     *turns
	pauses    *pauses
	transport *http.Transport
	log       *slog.Logger
	metrics   *Metrics
}

// New makes a client. It connects to nothing yet.
func New(cfg Config, settings Settings) (*Client, error) {
	return newClient(cfg, settings, net.DefaultResolver)
}

func newClient(cfg Config, settings Settings, resolver *net.Resolver) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	if settings.MaxBytes < 1 || settings.Log == nil {
		return nil, errors.New("media: Settings.MaxBytes and Settings.Log are needed")
	}
	allow, err := parseNetworks("allow_networks", cfg.AllowNetworks)
	if err != nil {
		return nil, err
	}
	deny, err := parseNetworks("deny_networks", cfg.DenyNetworks)
	if err != nil {
		return nil, err
	}
	proxy, err := parseProxy(cfg.Proxy)
	if err != nil {
		return nil, err
	}
	c := &Client{
		cfg:      cfg,
		maxBytes: settings.MaxBytes,
		pace:     pace{cfg.MinBytesPerSecond, paceWindow},
		guard:    &guard{allow: allow, deny: deny, ports: cfg.Ports},
		turns:    newTurns(cfg.Concurrency, cfg.ConcurrencyPerHost),
		pauses:   newPauses(cfg.HostFailures, cfg.HostPause, time.Now),
		log:      settings.Log,
		metrics:  settings.Metrics,
	}
	c.transport = newTransport(cfg, c.guard, proxy, resolver)
	return c, nil
}

func newTransport(cfg Config, g *guard, proxy *url.URL, resolver *net.Resolver) *http.Transport {
	dialer := &net.Dialer{Timeout: cfg.ConnectTimeout, Resolver: resolver}
	if proxy == nil {
		dialer.ControlContext = g.control
	} // else the proxy is all that is dialled, and it may well be private
	// One request a connection, so that no slow body holds up another.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyURL(proxy),
		DialContext:            dialer.DialContext,
		Protocols:              &protocols,
		TLSHandshakeTimeout:    cfg.ConnectTimeout,
		ResponseHeaderTimeout:  cfg.HeaderTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConns:           cfg.Concurrency,
		MaxIdleConnsPerHost:    cfg.ConcurrencyPerHost,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true, // the size limit holds for what is read: nothing may grow behind it
	}
}

// Close drops the connections kept for later. Fetches that run go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Fetch returns what the URL leads to, MaxBytes at most, whatever its type is said to be. Its error is a *Failure of
// stages/media or the context's.
func (c *Client) Fetch(ctx context.Context, rawURL string) (got stage.Encoded, err error) {
	began := time.Now()
	defer func() { c.metrics.fetched(len(got.Data), err, time.Since(began)) }()
	u, err := c.guard.target(nil, rawURL)
	if err != nil {
		return stage.Encoded{}, err
	}
	f := &fetch{Client: c, deadline: time.Now().Add(c.cfg.Timeout)}
	for try := 0; ; try++ {
		got, err := f.follow(ctx, u)
		if err == nil {
			return got, nil
		}
		if ctx.Err() != nil {
			return stage.Encoded{}, ctx.Err()
		}
		var busy *busyError
		if try < c.cfg.MaxRetries && errors.As(err, &busy) && f.rest(ctx, max(busy.after, backoff(try))) {
			continue
		}
		if ctx.Err() != nil {
			return stage.Encoded{}, ctx.Err()
		}
		var failure *stage.Failure
		if errors.As(err, &failure) {
			return stage.Encoded{}, failure
		}
		if try > 0 {
			err = fmt.Errorf("%w (tried %d times)", err, try+1)
		}
		return stage.Encoded{}, &stage.Failure{Reason: schemas.ReasonUnreachable, Err: err}
	}
}

// backoff is how long to wait after the given try, counted from 0.
func backoff(try int) time.Duration {
	base := 200 * time.Millisecond << try
	return base/2 + rand.N(base) //nolint:gosec // jitter keeps no secret
}

// busyError is for what may go better the next time.
type busyError struct {
	err   error
	after time.Duration // as the host asks for; 0 when it doesn't
}

func (e *busyError) Error() string { return e.err.Error() }
func (e *busyError) Unwrap() error { return e.err }

// statusError is for an answer that is no image: the host is well.
type statusError struct{ status string }

func (e *statusError) Error() string { return "the host answered " + e.status }

// fetch is one image on its way.
type fetch struct {
	*Client
	deadline time.Time
}

// rest waits before the next try; false when the time does not suffice.
func (f *fetch) rest(ctx context.Context, d time.Duration) bool {
	if time.Until(f.deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// follow asks for u, and for what it redirects to. Redirects are followed here and not by http.Client so that each host gets
// its own turn, and none is told about the one before.
func (f *fetch) follow(ctx context.Context, u *url.URL) (stage.Encoded, error) {
	for redirects := 0; ; redirects++ {
		got, location, err := f.ask(ctx, u)
		if err != nil || location == "" {
			return got, err
		}
		if redirects == f.cfg.MaxRedirects {
			return stage.Encoded{}, fmt.Errorf("more than %d redirects", f.cfg.MaxRedirects)
		}
		if u, err = f.guard.target(u, location); err != nil {
			return stage.Encoded{}, err
		}
	}
}

// ask makes one request when it is its turn, and remembers how the host did.
func (f *fetch) ask(ctx context.Context, u *url.URL) (got stage.Encoded, location string, err error) {
	began := time.Now()
	end, err := f.turns.take(ctx, u.Host)
	if err != nil {
		return got, "", err
	}
	defer end()
	if err := f.pauses.check(u.Host); err != nil {
		return got, "", err
	}
	// What waiting for a turn took is our doing and not the host's.
	f.deadline = f.deadline.Add(time.Since(began))

	began = time.Now()
	stoppable, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	timed, cancel := context.WithDeadlineCause(stoppable, f.deadline, fmt.Errorf("no image within %v", f.cfg.Timeout))
	defer cancel()
	got, location, err = f.exchange(timed, stop, u)
	if ctx.Err() != nil {
		return stage.Encoded{}, "", ctx.Err()
	}
	if err != nil && timed.Err() != nil {
		err = context.Cause(timed)
	}
	f.judge(u.Host, err, time.Since(began))
	return got, location, err
}

// judge counts what is a host's fault: being silent, broken or slow, not having or sending something else.
func (f *fetch) judge(host string, err error, took time.Duration) {
	var failure *stage.Failure
	var status *statusError
	forbidden := errors.As(err, &failure) && failure.Reason == schemas.ReasonForbidden
	switch {
	case forbidden: // nobody was asked
	case (err == nil || failure != nil || errors.As(err, &status)) && took <= f.cfg.Timeout/2:
		f.pauses.answered(host)
	default:
		if f.pauses.failed(host) {
			f.log.Warn("a media host keeps failing and is left alone", "host", host, "pause", f.cfg.HostPause, "last", err)
		}
	}
}

// exchange sends one request and reads its answer: an image, or where to go on.
func (c *Client) exchange(ctx context.Context, stop context.CancelCauseFunc, u *url.URL) (got stage.Encoded, location string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return got, "", err
	}
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	req.Header.Set("Accept", "image/jpeg, image/png, image/webp, image/gif")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return got, "", retriable(err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written that could be lost

	if location, err := judgeStatus(resp); err != nil || location != "" {
		return got, location, err
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return got, "", &stage.Failure{
			Reason: schemas.ReasonNotImage, Err: fmt.Errorf("the host sent it with encoding %q though asked for none", encoding),
		}
	}
	data, err := readBody(resp.Body, resp.ContentLength, c.maxBytes, c.pace, stop)
	var tooLong *tooLongError
	switch {
	case errors.As(err, &tooLong):
		return got, "", &stage.Failure{Reason: schemas.ReasonImageSize, Err: err}
	case err != nil:
		return got, "", &busyError{err: fmt.Errorf("the answer broke off: %w", err)}
	}
	return stage.Encoded{Data: data, Reserved: reserved(resp.Header)}, "", nil
}
