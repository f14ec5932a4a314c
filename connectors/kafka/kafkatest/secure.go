package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The one user of the SASL listener.
const (
	Username = "itrstream"
	Password = "correct-horse"
)

// Secure tells how to reach the secure listeners.
type Secure struct {
	Certificates
	SASLAddr   string // TLS and SASL
	MutualAddr string // TLS that asks for a certificate
}

// Certificates are PEM files of an authority and what it signed.
type Certificates struct {
	CAFile     string
	CertFile   string // of a client called Username
	KeyFile    string // its key
	BrokerFile string // of a broker at 127.0.0.1: key and certificate
}

// NewCertificates writes certificates that hold for a day to dir.
func NewCertificates(dir string) (Certificates, error) {
	c := Certificates{
		CAFile: filepath.Join(dir, "ca.pem"), BrokerFile: filepath.Join(dir, "broker.pem"),
		CertFile: filepath.Join(dir, "client.pem"), KeyFile: filepath.Join(dir, "client-key.pem"),
	}
	ca, err := newPair(&x509.Certificate{
		Subject: pkix.Name{CommonName: "kafkatest authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	if err != nil {
		return c, err
	}
	broker, err := newPair(&x509.Certificate{
		Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca)
	if err != nil {
		return c, err
	}
	client, err := newPair(&x509.Certificate{
		Subject:     pkix.Name{CommonName: Username},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca)
	if err != nil {
		return c, err
	}
	for name, content := range map[string][]byte{
		c.CAFile: ca.certPEM, c.CertFile: client.certPEM, c.KeyFile: client.keyPEM,
		c.BrokerFile: append(broker.keyPEM, broker.certPEM...),
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return c, err
		}
	}
	return c, nil
}

// properties are those of the secure listeners. Kafka reads PEM, so no
// keystore tool is needed.
func (s *Secure) properties() [][2]string {
	properties := [][2]string{
		{"ssl.keystore.type", "PEM"},
		{"ssl.keystore.location", s.BrokerFile},
		{"ssl.truststore.type", "PEM"},
		{"ssl.truststore.location", s.CAFile},
		{"listener.name.mutual.ssl.client.auth", "required"},
		{"listener.name.sasl.sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"},
		{"listener.name.sasl.plain.sasl.jaas.config", fmt.Sprintf(
			`org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s";`, Username, Password)},
	}
	for _, m := range []string{"scram-sha-256", "scram-sha-512"} {
		properties = append(properties, [2]string{
			"listener.name.sasl." + m + ".sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		})
	}
	return properties
}

type pair struct {
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
	certPEM, keyPEM []byte
}

// newPair makes a certificate from template, signed by parent or by itself.
func newPair(template *x509.Certificate, parent *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(24 * time.Hour)
	signer := &pair{cert: template, key: key}
	if parent != nil {
		signer = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.cert, &key.PublicKey, signer.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &pair{
		cert: cert, key: key,
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}
