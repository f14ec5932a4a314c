package kafka_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/connectors/kafka/kafkatest"
)

func certificates(tb testing.TB) kafkatest.Certificates {
	tb.Helper()
	certs, err := kafkatest.NewCertificates(tb.TempDir())
	require.NoError(tb, err)
	return certs
}

func serverTLS(tb testing.TB, certs kafkatest.Certificates) *tls.Config {
	tb.Helper()
	cert, err := tls.LoadX509KeyPair(certs.BrokerFile, certs.BrokerFile)
	require.NoError(tb, err)
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
}

var mechanisms = map[string]string{"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"}

// A good password reads and writes and joins the group; a bad one is an error that says where to look
// and does not show it.
func checkSASL(t *testing.T, addr string, certs kafkatest.Certificates, mechanism, topic string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(kafkatest.Password+"\n"), 0o600))
	cfg := config([]string{addr})
	cfg.Group = "group-" + mechanism
	cfg.TLS = kafka.TLS{Enabled: true, CAFile: certs.CAFile}
	cfg.SASL = kafka.SASL{Mechanism: mechanism, Username: kafkatest.Username, PasswordFile: file}
	c := dial(t, cfg)
	_, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: topic}}, true)
	require.NoError(t, err)
	require.NoError(t, c.Produce(t.Context(), []kafka.Record{{Topic: topic, Value: []byte("secret post")}}))
	require.Equal(t, []string{"secret post"}, consumeValues(t, c, topic, 1))

	cfg.SASL.PasswordFile, cfg.SASL.Password = "", "wrong-horse"
	_, err = kafka.Dial(t.Context(), cfg, kafka.Settings{})
	require.ErrorContains(t, err, "kafka.sasl")
	require.NotContains(t, err.Error(), "wrong-horse")
}

func TestSASLOverTLS(t *testing.T) {
	t.Parallel()
	certs := certificates(t)
	for mechanism, name := range mechanisms {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			cluster := fake(t, kfake.TLS(serverTLS(t, certs)), kfake.EnableSASL(), kfake.Superuser(name, kafkatest.Username, kafkatest.Password))
			checkSASL(t, cluster.ListenAddrs()[0], certs, mechanism, "secured")
		})
	}
}

// A password that everybody on the way can read is used, and warned of.
func TestPlainWithoutTLSIsWarnedOf(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", kafkatest.Username, kafkatest.Password))
	cfg := config(cluster.ListenAddrs())
	cfg.SASL = kafka.SASL{Mechanism: "plain", Username: kafkatest.Username, Password: kafkatest.Password}
	var log bytes.Buffer
	c, err := kafka.Dial(t.Context(), cfg, kafka.Settings{Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	c.Close()
	require.Contains(t, log.String(), "plain without TLS")
	require.NotContains(t, log.String(), kafkatest.Password)
}

func TestTLSFaults(t *testing.T) {
	t.Parallel()
	certs := certificates(t)
	cluster := fake(t, kfake.TLS(serverTLS(t, certs)))
	good := config(cluster.ListenAddrs())
	good.TLS = kafka.TLS{Enabled: true, CAFile: certs.CAFile}
	dial(t, good)
	for name, c := range map[string]struct {
		change func(cfg *kafka.Config)
		want   string
	}{
		"no tls":            {func(cfg *kafka.Config) { cfg.TLS = kafka.TLS{} }, "kafka.tls"},
		"unknown authority": {func(cfg *kafka.Config) { cfg.TLS.CAFile = certificates(t).CAFile }, "certificate"},
		"another name":      {func(cfg *kafka.Config) { cfg.TLS.ServerName = "elsewhere" }, "elsewhere"},
		"no such file":      {func(cfg *kafka.Config) { cfg.TLS.CAFile = "no-such-file" }, "tls.ca_file"},
		"not a certificate": {func(cfg *kafka.Config) { cfg.TLS.CAFile = certs.KeyFile }, "holds no PEM certificate"},
		"no key":            {func(cfg *kafka.Config) { cfg.TLS.CertFile, cfg.TLS.KeyFile = certs.CertFile, certs.CertFile }, "tls.key_file"},
		"no password file": {func(cfg *kafka.Config) {
			cfg.SASL = kafka.SASL{Mechanism: "plain", Username: "u", PasswordFile: "no-such-file"}
		}, "sasl.password_file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			c.change(&cfg)
			_, err := kafka.Dial(t.Context(), cfg, kafka.Settings{})
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	_, err = kafka.Dial(t.Context(), config([]string{addr}), kafka.Settings{})
	require.ErrorContains(t, err, "no broker of "+addr+" answered")
	_, err = kafka.Dial(t.Context(), config(nil), kafka.Settings{})
	require.ErrorContains(t, err, "at least one host:port")
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	require.NoError(t, kafka.DefaultConfig().Validate())
	cfg := kafka.Config{
		Brokers: []string{"nohost"}, Delivery: "maybe", Start: "middle", Compression: "rar",
		TLS:              kafka.TLS{CertFile: "cert"},
		SASL:             kafka.SASL{Mechanism: "scram-sha-1"},
		RebalanceTimeout: -1,
	}
	err := cfg.Validate()
	for _, want := range []string{
		`brokers[0]: "nohost": must be host:port`, `group: "": must be the name of a consumer group`,
		`delivery: "maybe": must be one of exactly_once, at_least_once`, `start: "middle": must be one of earliest, latest`,
		`transaction_timeout: 0s: must be between 1s and 24h`,
		`compression: "rar": must be one of none, gzip, snappy, lz4, zstd`,
		"fetch_max_bytes: 0: must be between", "record_max_bytes: 0: must be between", "fetch_max_wait: 0s: must be between",
		"heartbeat_interval: 0s: must be 10ms at least", "session_timeout", "rebalance_timeout: -1ns: must be between",
		"tls.cert_file", "tls.enabled: false: must be true", "sasl.mechanism", "sasl.username", "sasl.password",
	} {
		require.ErrorContains(t, err, want)
	}
	cfg = kafka.DefaultConfig()
	cfg.SessionTimeout = 2 * cfg.HeartbeatInterval
	require.EqualError(t, cfg.Validate(), "session_timeout: 6s: must be between three times heartbeat_interval (9s) and 1h")
}
