package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte("about " + r.URL.Path))
	}))
	t.Cleanup(server.Close)
	addr := strings.TrimPrefix(server.URL, "http://")
	_, port, _ := strings.Cut(addr, ":")

	for name, c := range map[string]struct {
		args        []string
		status      int
		out, errOut string
	}{
		"alive":               {args: []string{"--set", "ops.addr=" + addr}, out: "about /healthz"},
		"listening elsewhere": {args: []string{"--set", "ops.addr=0.0.0.0:" + port}, out: "about /healthz"},
		"not ready":           {args: []string{"--ready", "--set", "ops.addr=" + addr}, status: 1, out: "about /readyz", errOut: "503"},
		"nobody":              {args: []string{"--set", "ops.addr=127.0.0.1:1"}, status: 1, errOut: "nobody answers at ops.addr"},
		"no listener":         {args: []string{"--set", "ops.addr="}, status: 1, errOut: "ops.addr is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, c.status, run(append([]string{"health"}, c.args...), &stdout, &stderr), stderr.String())
			require.Equal(t, c.out, stdout.String())
			require.Contains(t, stderr.String(), c.errOut)
		})
	}
}
