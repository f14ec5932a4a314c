package redis_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors"
	"github.com/itrstream/itrstream/connectors/redis"
	"github.com/itrstream/itrstream/connectors/redis/redistest"
	"github.com/itrstream/itrstream/stages"
	"github.com/itrstream/itrstream/stages/cluster"
)

func TestConfigNamesEveryFault(t *testing.T) {
	t.Parallel()
	require.NoError(t, redis.DefaultConfig().Validate())
	err := redis.Config{
		Addr: "nowhere", Username: "me", DB: -1,
		TLS: redis.TLS{CertFile: "c.pem"},
	}.Validate()
	for _, key := range []string{
		`addr: "nowhere"`, `username: "me"`, "db: -1", "timeout: 0s", `tls.cert_file: "c.pem"`, "tls.enabled: false",
	} {
		require.ErrorContains(t, err, key)
	}
	both := redis.DefaultConfig()
	both.Password, both.PasswordFile = "hunter2", "f"
	require.ErrorContains(t, both.Validate(), "password_file")
	require.NotContains(t, both.Validate().Error(), "hunter2")
}

// try dials and makes one claim, and returns the error of either.
func try(ctx context.Context, c redis.Config) error {
	cl, err := redis.Dial(ctx, c, redis.Settings{})
	if err != nil {
		return err
	}
	_, err = cl.Store("n", "d").Claim(ctx, cluster.ClaimRequest{Incarnation: "x"})
	if closing := cl.Close(); err == nil {
		err = closing
	}
	return err
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	c := redis.DefaultConfig()
	c.Addr = l.Addr().String()
	err = try(t.Context(), c)
	var away *stages.Transient
	require.ErrorAs(t, err, &away)
	require.ErrorContains(t, err, "does not answer")
	require.ErrorContains(t, err, c.Addr)
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	c := redis.DefaultConfig()
	c.Addr, c.Timeout = l.Addr().String(), 50*time.Millisecond
	var away *stages.Transient
	require.ErrorAs(t, try(t.Context(), c), &away)
}

func TestRealAccess(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{Users: []string{
		"user default on >first-secret ~* +@all",
		"user worker on >second-secret ~{* +@hash +@string +@scripting +@transaction +@connection +info +del +unlink +pttl",
		"user reader on >third-secret ~* +@read +@connection",
	}})
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("second-secret\n"), 0o600))
	for _, tc := range []struct {
		name, user, password, file, refused string
	}{
		{"the default user", "", "first-secret", "", ""},
		{"an ACL user", "worker", "second-secret", "", ""},
		{"a password in a file", "worker", "", file, ""},
		{"no password", "", "", "", "NOAUTH"},
		{"a wrong password", "", "wrong-secret", "", "WRONGPASS"},
		{"an unknown user", "nobody", "first-secret", "", "WRONGPASS"},
		{"a user that may only read", "reader", "third-secret", "", "NOPERM"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := redis.DefaultConfig()
			c.Addr, c.Username, c.Password, c.PasswordFile = srv.Addr(), tc.user, connectors.Secret(tc.password), tc.file
			err := try(t.Context(), c)
			if tc.refused == "" {
				require.NoError(t, err)
				return
			}
			var away *stages.Transient
			require.False(t, errors.As(err, &away), "%v", err)
			require.ErrorContains(t, err, tc.refused)
			require.ErrorContains(t, err, "check redis.username, redis.password")
			require.NotContains(t, err.Error(), "-secret")
		})
	}
	missing := redis.DefaultConfig()
	missing.Addr, missing.PasswordFile = srv.Addr(), filepath.Join(t.TempDir(), "none")
	require.ErrorContains(t, try(t.Context(), missing), "password_file")
}

func TestRealTLS(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{TLS: true, ClientCerts: true})
	other := redistest.Start(t, redistest.Options{TLS: true})
	certs := srv.Certs()
	good := redis.TLS{Enabled: true, CAFile: certs.CA, CertFile: certs.Cert, KeyFile: certs.Key}
	for _, tc := range []struct {
		name, refused string
		change        func(*redis.TLS)
	}{
		{"all files", "", func(*redis.TLS) {}},
		{"the other name", "", func(c *redis.TLS) { c.ServerName = "localhost" }},
		{"a foreign name", "server_name", func(c *redis.TLS) { c.ServerName = "example.org" }},
		{"a foreign authority", "ca_file", func(c *redis.TLS) { c.CAFile = other.Certs().CA }},
		{"the system's authorities", "ca_file", func(c *redis.TLS) { c.CAFile = "" }},
		{"a file without certificates", "holds no PEM certificate", func(c *redis.TLS) { c.CAFile = certs.Key }},
		{"a certificate of another authority", "cert_file", func(c *redis.TLS) { c.CertFile, c.KeyFile = other.Certs().Cert, other.Certs().Key }},
		{"no certificate of ours", "certificate required", func(c *redis.TLS) { c.CertFile, c.KeyFile = "", "" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := redis.DefaultConfig()
			c.Addr, c.TLS = srv.Addr(), good
			tc.change(&c.TLS)
			err := try(t.Context(), c)
			if tc.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.refused)
			var away *stages.Transient
			require.False(t, errors.As(err, &away), "%v", err)
		})
	}
	plain := redistest.Start(t, redistest.Options{})
	c := redis.DefaultConfig()
	c.Addr, c.TLS, c.Timeout = plain.Addr(), redis.TLS{Enabled: true}, 200*time.Millisecond
	require.ErrorContains(t, try(t.Context(), c), "does not answer with TLS")
	c.Addr, c.TLS = srv.Addr(), redis.TLS{}
	require.ErrorContains(t, try(t.Context(), c), "does not answer without TLS")
}

func TestRealWarnsOfEviction(t *testing.T) {
	t.Parallel()
	for policy, warned := range map[string]bool{"noeviction": false, "allkeys-lru": true} {
		srv := redistest.Start(t, redistest.Options{Config: []string{"maxmemory-policy " + policy}})
		var log bytes.Buffer
		c := redis.DefaultConfig()
		c.Addr = srv.Addr()
		cl, err := redis.Dial(t.Context(), c, redis.Settings{Log: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		require.NoError(t, cl.Close())
		require.Equal(t, warned, bytes.Contains(log.Bytes(), []byte("maxmemory_policy=allkeys-lru")), log.String())
	}
}

// TestRealMemoryFull lets the server run out of memory: a pause, and nothing
// half written.
func TestRealMemoryFull(t *testing.T) {
	t.Parallel()
	srv := redistest.Start(t, redistest.Options{Config: []string{"maxmemory 1"}})
	c := redis.DefaultConfig()
	c.Addr = srv.Addr()
	err := try(t.Context(), c)
	var away *stages.Transient
	require.ErrorAs(t, err, &away)
	require.ErrorContains(t, err, "OOM")
}
