package media

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	for key, tt := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"network":      {func(c *Config) { c.AllowNetworks = []string{"10.0.0.0/8", "inside"} }, `allow_networks is "inside"`},
		"address":      {func(c *Config) { c.AllowNetworks = []string{"10.0.0.1"} }, `allow_networks is "10.0.0.1"`},
		"host bits":    {func(c *Config) { c.DenyNetworks = []string{"10.0.0.1/8"} }, `deny_networks is "10.0.0.1/8": it has bits beyond its mask, 10.0.0.0/8`},
		"mapped":       {func(c *Config) { c.AllowNetworks = []string{"::ffff:10.0.0.0/104"} }, "write it as a range of IPv4"},
		"no port":      {func(c *Config) { c.Ports = nil }, "ports is empty"},
		"port":         {func(c *Config) { c.Ports = []int{80, 70000} }, "ports is 70000"},
		"proxy":        {func(c *Config) { c.Proxy = "proxy:3128" }, `proxy is "proxy:3128"`},
		"agent":        {func(c *Config) { c.UserAgent = "a\r\nb" }, `user_agent is "a\r\nb"`},
		"timeout":      {func(c *Config) { c.Timeout = 0 }, "timeout is 0s"},
		"connect":      {func(c *Config) { c.ConnectTimeout = time.Minute }, "connect_timeout is 1m0s"},
		"header":       {func(c *Config) { c.HeaderTimeout = -1 }, "header_timeout is -1ns"},
		"pace":         {func(c *Config) { c.MinBytesPerSecond = -1 }, "min_bytes_per_second is -1"},
		"redirects":    {func(c *Config) { c.MaxRedirects = 21 }, "max_redirects is 21"},
		"retries":      {func(c *Config) { c.MaxRetries = -1 }, "max_retries is -1"},
		"concurrency":  {func(c *Config) { c.Concurrency = 0 }, "concurrency is 0"},
		"per host":     {func(c *Config) { c.ConcurrencyPerHost = 65 }, "concurrency_per_host is 65: 1 to concurrency (64)"},
		"failures":     {func(c *Config) { c.HostFailures = -1 }, "host_failures is -1"},
		"pause":        {func(c *Config) { c.HostPause = 0 }, "host_pause is 0s"},
		"both of them": {func(c *Config) { c.MaxRetries, c.Ports = -1, nil }, "ports is empty: at least one is needed, such as 443\nmax_retries"},
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			c := DefaultConfig()
			tt.edit(&c)
			require.ErrorContains(t, c.Validate(), tt.want)
			_, err := New(c, Settings{MaxBytes: 1, Log: slog.New(slog.DiscardHandler)})
			require.ErrorContains(t, err, tt.want)
		})
	}
	secret := DefaultConfig()
	secret.Proxy = "http://user:hunter2@proxy.example:3128"
	require.Error(t, secret.Validate())
	require.NotContains(t, secret.Validate().Error(), "hunter2")
	secret.Proxy = "http://user:hunter2@proxy.example:3128\x00"
	require.Error(t, secret.Validate())
	require.NotContains(t, secret.Validate().Error(), "hunter2")

	_, err := New(DefaultConfig(), Settings{Log: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "MaxBytes")
}
