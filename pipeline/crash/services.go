package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/itrstream/itrstream/connectors/kafka/kafkatest"
	"github.com/itrstream/itrstream/connectors/redis/redistest"
	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/pipeline/session"
)

// services are what a run's workers talk to.
type services struct {
	broker     broker
	redis      *redistest.Server
	kafkaProxy *proxy
	redisProxy *proxy
	images     string // URL of the slow image host
	imagePort  string
}

// broker is a Kafka that may be killed.
type broker interface {
	Kill()
	Restart()
}

func (r *run) startServices(ctx context.Context, s *session.Session, w *oracle.Writer) (*services, error) {
	var out services
	var err error
	for _, p := range []**proxy{&out.kafkaProxy, &out.redisProxy} {
		if *p, err = newProxy(ctx); err != nil {
			return nil, err
		}
		s.Cleanup((*p).close)
	}
	if r.real {
		advertised := [2]string{"advertised.listeners", "PLAINTEXT://" + out.kafkaProxy.addr()}
		b := kafkatest.Start(s, kafkatest.Options{Properties: [][2]string{advertised}}) //nolint:contextcheck // it ends with the session
		out.broker = b
		out.kafkaProxy.target.Store(b.Addrs()[0])
	} else {
		b := &embedded{dir: s.TempDir(), log: filepath.Join(r.dir, "broker.log"), public: out.kafkaProxy.addr(), proxy: out.kafkaProxy, s: s}
		if b.addr, err = freeAddr(ctx); err != nil {
			return nil, err
		}
		b.Restart() //nolint:contextcheck // it ends with the session
		s.Cleanup(b.Kill)
		out.broker = b
		out.kafkaProxy.target.Store(b.addr)
	}
	out.redis = redistest.Start(s, redistest.Options{AppendOnly: true})
	out.redisProxy.target.Store(out.redis.Addr())
	return &out, out.serveImages(ctx, s, w)
}

// slowest is how long an image may take.
const slowest = 400 * time.Millisecond

func (out *services) serveImages(ctx context.Context, s *session.Session, w *oracle.Writer) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(path.Base(r.URL.Path))
		if err != nil {
			http.NotFound(rw, r)
			return
		}
		time.Sleep(time.Duration(n%5) * slowest / 5)
		_, _ = rw.Write(w.Image(n)) // the worker may be dead by now
	})}
	go server.Serve(l) //nolint:errcheck // ends with Close
	s.Cleanup(func() { _ = server.Close() })
	out.images = "http://" + l.Addr().String()
	_, out.imagePort, err = net.SplitHostPort(l.Addr().String())
	return err
}

// embedded is the embedded broker as a process.
type embedded struct {
	s                      *session.Session
	dir, log, addr, public string
	proxy                  *proxy
	process                *session.Process
}

// Kill ends the broker as a power cut would.
func (b *embedded) Kill() {
	if b.process != nil {
		b.process.Kill()
		b.process = nil
	}
}

// Restart starts it on its data, and waits until it listens and is mended.
// The proxy keeps everybody else away until then.
func (b *embedded) Restart() {
	b.Kill()
	b.proxy.stall(true)
	defer b.proxy.stall(false)
	p, err := session.StartAgain(b.log, "broker", "--dir", b.dir, "--listen", b.addr, "--advertise", b.public)
	if err != nil {
		b.s.Fatal(err)
	}
	b.process = p
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", b.addr, time.Second) //nolint:noctx // a moment
		if err == nil {
			_ = conn.Close()
			ctx, cancel := context.WithDeadline(context.Background(), deadline)
			defer cancel()
			if err := mend(ctx, b.addr); err != nil {
				b.s.Fatalf("mend the broker: %v%s", err, p.Tail())
			}
			return
		}
		if p.Over() || time.Now().After(deadline) {
			b.s.Fatalf("the broker does not start: %v%s", err, p.Tail())
		}
	}
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	defer l.Close() //nolint:errcheck // only to learn the port
	return l.Addr().String(), nil
}
