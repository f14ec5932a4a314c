package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// closeWithin bounds how long the listener waits for answers under way.
const closeWithin = time.Second

// Settings is what the wiring sets.
type Settings struct {
	Log      *slog.Logger
	Gatherer prometheus.Gatherer
	Health   *Health
}

// Listener serves /metrics, /healthz and /readyz, and /debug/pprof when asked
// to.
type Listener struct {
	addr   net.Addr
	server *http.Server
	done   chan struct{}
}

// Listen starts the listener. It returns nil, which Close takes, when the
// configuration asks for none.
func Listen(ctx context.Context, c Config, s Settings) (*Listener, error) {
	if c.Addr == "" {
		return nil, nil //nolint:nilnil // no listener is no error
	}
	on, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("ops.addr: %s is in use: give each process of a machine an address of its own, or none (ops.addr empty): %w", c.Addr, err)
	case err != nil:
		return nil, fmt.Errorf("ops.addr: %s cannot be listened on: %w", c.Addr, err)
	}
	l := &Listener{addr: on.Addr(), done: make(chan struct{}), server: &http.Server{
		Handler:           handler(c, s),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}}
	go func() {
		defer close(l.done)
		if err := l.server.Serve(on); !errors.Is(err, http.ErrServerClosed) {
			s.Log.Error("the ops listener has ended; metrics and health are not served any more", "addr", l.addr.String(), "error", err)
		}
	}()
	s.Log.InfoContext(ctx, "ops listener", "addr", l.addr.String(), "pprof", c.PProf)
	return l, nil
}

// Close ends the listener.
func (l *Listener) Close() {
	if l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	if l.server.Shutdown(ctx) != nil {
		_ = l.server.Close() // who still reads a profile loses it
	}
	<-l.done
}

func handler(c Config, s Settings) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Gatherer, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn)}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		stuck := s.Health.Alive()
		answer(w, len(stuck) == 0, struct {
			Alive bool     `json:"alive"`
			Stuck []string `json:"stuck,omitempty"`
		}{len(stuck) == 0, stuck})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		states, ready := s.Health.Ready()
		answer(w, ready, struct {
			Ready      bool    `json:"ready"`
			Conditions []State `json:"conditions"`
		}{ready, states})
	})
	if c.PProf {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func answer(w http.ResponseWriter, ok bool, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // who asked has gone, if it fails
}
