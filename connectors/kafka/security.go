package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// config builds the TLS settings; nil when TLS is off.
func (t TLS) config() (*tls.Config, error) {
	if !t.Enabled {
		return nil, nil //nolint:nilnil // off is not a fault
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca_file: %s holds no PEM certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls.cert_file and tls.key_file: %w", err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}

// mechanism builds the SASL mechanism; nil when SASL is off.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	password, err := s.Password.Open(s.PasswordFile)
	if err != nil {
		if s.PasswordFile != "" {
			return nil, fmt.Errorf("sasl.password_file: %w", err)
		}
		return nil, fmt.Errorf("sasl.password: %w", err)
	}
	switch s.Mechanism {
	case "plain":
		return plain.Mechanism{Username: s.Username, Password: password}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, s.Username, password)
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, s.Username, password)
	default:
		return nil, nil //nolint:nilnil // off is not a fault
	}
}

// advice says which keys to look at when no broker answers. How a broker
// closes a connection tells little, so some of it is a guess and says so.
func (c Config) advice(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert *net.OpError // a TLS alert is of no type that can be named
	closed := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case errors.As(err, &authority):
		return "kafka.tls.ca_file must hold the authority that signed the broker's certificate"
	case errors.As(err, &name):
		return "the broker's certificate is for another name: reach it by that name in kafka.brokers, or set kafka.tls.server_name"
	case errors.As(err, &invalid):
		return "the broker's certificate does not hold: look at its dates and uses"
	case errors.As(err, &alert) && alert.Op == "remote error":
		return "the broker refuses our side of TLS: check kafka.tls.cert_file and kafka.tls.key_file, whose authority it must trust"
	case errors.Is(err, kafkago.UnsupportedSASLMechanism):
		return fmt.Sprintf("the broker does not offer kafka.sasl.mechanism %s", c.SASL.Mechanism)
	case errors.Is(err, kafkago.IllegalSASLState):
		return "the broker asks nobody for a password on this port: leave kafka.sasl out, or name its port with SASL in kafka.brokers"
	case closed && !c.TLS.Enabled:
		return "it closed the connection, as one that expects TLS or SASL does: check kafka.tls.enabled and kafka.sasl"
	case closed && c.SASL.Mechanism == "":
		return "it closed the connection, as one that expects SASL does, or no TLS: check kafka.sasl and kafka.tls.enabled"
	case closed:
		return "it closed the connection, as one that expects no TLS or refuses the user does: check kafka.tls.enabled and kafka.sasl"
	}
	return "check kafka.brokers, kafka.tls and kafka.sasl"
}
