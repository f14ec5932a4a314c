// Package redistest runs real Redis servers for tests: redis-server from
// PATH, on a loopback port of its own, with or without passwords and TLS,
// killed and started again at will.
package redistest

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Options are what a server has beside its port.
type Options struct {
	// AppendOnly makes every command durable before it is answered.
	AppendOnly bool
	// Users are ACL lines, such as "user me on >secret ~* +@all". The
	// default user keeps all rights unless a line says otherwise.
	Users []string
	// TLS makes the server speak only TLS, with a certificate for 127.0.0.1
	// and localhost of an authority of its own.
	TLS bool
	// ClientCerts makes it ask clients for a certificate, too.
	ClientCerts bool
	// Config are further lines of its configuration.
	Config []string
}

// Server is one redis-server process and its data.
type Server struct {
	tb    testing.TB
	addr  string
	dir   string
	certs Certs
	tls   bool
	cmd   *exec.Cmd
	ended chan struct{}
}

// startWithin is how long a server may take to answer.
const startWithin = 20 * time.Second

// Start starts a server, which ends with the test. It skips the test under
// -short, and fails it where there is no redis-server.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	if testing.Testing() && testing.Short() {
		tb.Skip("starts a real redis-server")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		tb.Fatalf("redistest: no redis-server in PATH (on Debian: apt-get install redis-server): %v", err)
	}
	s := &Server{tb: tb, addr: freeAddr(tb), dir: tb.TempDir(), tls: o.TLS}
	lines := []string{"bind 127.0.0.1", "dir " + s.dir, "daemonize no", "protected-mode no", `save ""`, "maxmemory-policy noeviction"}
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		tb.Fatal(err)
	}
	if o.TLS {
		s.certs = writeCerts(tb, s.dir)
		lines = append(lines, "port 0", "tls-port "+port,
			"tls-cert-file "+s.certs.serverCert, "tls-key-file "+s.certs.serverKey, "tls-ca-cert-file "+s.certs.CA,
			"tls-auth-clients "+map[bool]string{false: "no", true: "yes"}[o.ClientCerts])
	} else {
		lines = append(lines, "port "+port)
	}
	if o.AppendOnly {
		lines = append(lines, "appendonly yes", "appendfsync always")
	}
	lines = append(append(lines, o.Users...), o.Config...)
	if err := os.WriteFile(s.config(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.Restart()
	tb.Cleanup(s.Kill)
	return s
}

// Addr returns host:port, the same after a restart.
func (s *Server) Addr() string { return s.addr }

// Certs returns the files that a client needs; empty without TLS.
func (s *Server) Certs() Certs { return s.certs }

// Dir returns the folder with the server's data.
func (s *Server) Dir() string { return s.dir }

// Kill ends the server as a power cut would.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	// It may have ended by itself, which is as good.
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.cmd = nil
}

// Restart starts the server on its former data, and returns once it answers.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	cmd := exec.Command("redis-server", s.config())
	cmd.Stdout, cmd.Stderr = out, out
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		s.tb.Fatalf("redistest: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in the log
		close(ended)
	}()
	s.cmd, s.ended = cmd, ended
	for deadline := time.Now().Add(startWithin); ; {
		err := s.ping()
		if err == nil {
			return
		}
		select {
		case <-ended:
			s.tb.Fatalf("redistest: redis-server ended: %s", s.log())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.tb.Fatalf("redistest: redis-server does not answer: %v: %s", err, s.log())
		}
	}
}

// ping is satisfied with any answer, a demand for a password among them, but
// not while the server reads its data.
func (s *Server) ping() error {
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if s.tls {
		pair, err := tls.LoadX509KeyPair(s.certs.Cert, s.certs.Key)
		if err != nil {
			return err
		}
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}})
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	reply := make([]byte, 64)
	n, err := conn.Read(reply)
	if err != nil {
		return err
	}
	if strings.HasPrefix(string(reply[:n]), "-LOADING") {
		return fmt.Errorf("still loading: %s", reply[:n])
	}
	return nil
}

func (s *Server) config() string { return filepath.Join(s.dir, "redis.conf") }

func (s *Server) log() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}

func freeAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
