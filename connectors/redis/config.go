package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/itrstream/itrstream/connectors"
)

// Config is what operators set.
type Config struct {
	// Addr is host:port. Empty means the embedded server, which the pipeline
	// starts.
	Addr string `mapstructure:"addr"`
	// Username is the ACL user; empty means the default user.
	Username string `mapstructure:"username"`
	// Password, or PasswordFile, whose trailing line break is ignored.
	Password     connectors.Secret `mapstructure:"password"`
	PasswordFile string            `mapstructure:"password_file"`
	DB           int               `mapstructure:"db"`
	// Timeout bounds connecting, and each command.
	Timeout time.Duration `mapstructure:"timeout"`
	TLS     TLS           `mapstructure:"tls"`
}

// TLS is how to reach a server that speaks it.
type TLS struct {
	Enabled bool `mapstructure:"enabled"`
	// CAFile holds the authorities to trust instead of the system's, as PEM.
	CAFile string `mapstructure:"ca_file"`
	// CertFile and KeyFile are our own, for servers that ask for them.
	CertFile string `mapstructure:"cert_file"`
	KeyFile  string `mapstructure:"key_file"`
	// ServerName is the name in the server's certificate, when it is not
	// Addr's.
	ServerName string `mapstructure:"server_name"`
}

// DefaultConfig returns what holds where operators set nothing.
func DefaultConfig() Config { return Config{Timeout: 5 * time.Second} }

// Validate reports every fault, each with its key, value and what is allowed.
func (c Config) Validate() error {
	var errs []error
	fault := func(key, value, allowed string) {
		errs = append(errs, fmt.Errorf("%s: %s is not allowed; use %s", key, value, allowed))
	}
	if c.Addr != "" {
		if host, port, err := net.SplitHostPort(c.Addr); err != nil || host == "" || port == "" {
			fault("addr", fmt.Sprintf("%q", c.Addr), "host:port, or nothing for the embedded server")
		}
	}
	if c.DB < 0 {
		fault("db", fmt.Sprint(c.DB), "0 or more")
	}
	if c.Timeout < 10*time.Millisecond || c.Timeout > 10*time.Minute {
		fault("timeout", c.Timeout.String(), "a duration from 10ms to 10m")
	}
	if c.Password != "" && c.PasswordFile != "" {
		fault("password_file", fmt.Sprintf("%q beside password", c.PasswordFile), "one of the two")
	}
	if c.Username != "" && c.Password == "" && c.PasswordFile == "" {
		fault("username", fmt.Sprintf("%q without a password", c.Username), "password or password_file with it")
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		fault("tls.cert_file", fmt.Sprintf("%q with tls.key_file %q", c.TLS.CertFile, c.TLS.KeyFile), "both or neither")
	}
	if !c.TLS.Enabled && (c.TLS.CAFile != "" || c.TLS.CertFile != "" || c.TLS.ServerName != "") {
		fault("tls.enabled", "false with other tls settings", "true, or leave the others out")
	}
	return errors.Join(errs...)
}

// Settings is what the wiring fills in.
type Settings struct {
	Log *slog.Logger // nil: silent
}

func (c Config) password() (string, error) {
	password, err := c.Password.Open(c.PasswordFile)
	if err != nil {
		if c.PasswordFile != "" {
			return "", fmt.Errorf("redis: password_file: %w", err)
		}
		return "", fmt.Errorf("redis: password: %w", err)
	}
	return password, nil
}

func (t TLS) config(addr string) (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil //nolint:nilnil // no TLS
	}
	c := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if c.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("redis: addr: %w", err)
		}
		c.ServerName = host
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("redis: tls.ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis: tls.ca_file: %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("redis: tls.cert_file, tls.key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
