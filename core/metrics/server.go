package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"unibus/core"
)

// Bounds of what one who scrapes can cost.
const (
	requestTimeout = 10 * time.Second // from the first byte of a request to the last of its answer
	sampleTimeout  = 4 * time.Second  // of what an answer is made from
	maxScrapes     = 2                // at the same time; others are told to come again
	maxConnections = 32
	maxHeader      = 8 << 10
)

// Config is what a Server needs; all of it is required.
type Config struct {
	Listen string                           // host:port
	Sample func(ctx context.Context) Sample // taken for each scrape; it does not wait for the cluster longer than its context
	Ready  func(ctx context.Context) error  // nil where the node admits users now; the error says why not
	Log    *slog.Logger
}

// Server answers until it is closed.
type Server struct {
	cfg  Config
	http *http.Server
	done chan struct{} // closed once http has ended

	mu       sync.Mutex
	listener net.Listener
}

// New does no I/O.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, done: make(chan struct{})}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{cfg.Sample}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn), MaxRequestsInFlight: maxScrapes,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	s.http = &http.Server{
		Handler: mux, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// Open listens. KindFailed where the address cannot be had.
func (s *Server) Open(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return core.Errorf(core.KindFailed, "--metrics-listen %s cannot be listened on: %w", s.cfg.Listen, err).
			WithNext("give another address, or stop what listens there")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = l
	go func() {
		defer close(s.done)
		if err := s.http.Serve(limit(l, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Log.Error("metrics are no longer served", "error", err)
		}
	}()
	return nil
}

// Addr is host:port with the port that was taken, "" before Open.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Close ends the listener and every connection. Twice is harmless.
func (s *Server) Close() error {
	err := s.http.Close()
	s.mu.Lock()
	opened := s.listener != nil
	s.mu.Unlock()
	if opened {
		<-s.done
	}
	return err
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), sampleTimeout)
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		answer(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
		return
	}
	answer(w, http.StatusOK, "ready")
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, fmt.Sprintln(text)) // whoever asked is gone where this fails
}
