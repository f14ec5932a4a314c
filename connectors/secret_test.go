package connectors_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/itrstream/itrstream/connectors"
)

// Whatever way a configuration is printed, the secret is not in it.
func TestSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	cfg := struct {
		Password connectors.Secret
		ByName   map[string]connectors.Secret
	}{"hunter2", map[string]connectors.Secret{"k": "hunter2"}}
	var logs bytes.Buffer
	slog.New(slog.NewJSONHandler(&logs, nil)).Info("config", "all", cfg, "one", cfg.Password)
	slog.New(slog.NewTextHandler(&logs, nil)).Info("config", "all", cfg, "one", cfg.Password)
	asYAML, err := yaml.Marshal(cfg)
	require.NoError(t, err)
	asJSON, err := json.Marshal(cfg)
	require.NoError(t, err)
	for _, s := range []string{
		fmt.Sprint(cfg), fmt.Sprintf("%+v", &cfg), fmt.Sprintf("%#v", cfg), fmt.Sprintf("%s %q %v", cfg.Password, cfg.Password, cfg.Password),
		fmt.Errorf("with %v", cfg).Error(), logs.String(), string(asYAML), string(asJSON),
	} {
		require.NotContains(t, s, "hunter2")
		require.Contains(t, s, connectors.Hidden)
	}
	require.Empty(t, connectors.Secret("").String(), "no secret hides nothing")
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, empty := filepath.Join(dir, "secret"), filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(file, []byte("from a file \r\n"), 0o600))
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))

	got, err := connectors.Secret("hunter2").Open("")
	require.NoError(t, err)
	require.Equal(t, "hunter2", got)
	got, err = connectors.Secret("").Open(file)
	require.NoError(t, err)
	require.Equal(t, "from a file ", got, "only the line break goes")
	_, err = connectors.Secret("").Open(empty)
	require.ErrorContains(t, err, empty)
	_, err = connectors.Secret("").Open(filepath.Join(dir, "none"))
	require.ErrorContains(t, err, "none")
	_, err = connectors.Secret(connectors.Hidden).Open("")
	require.ErrorContains(t, err, "printouts")
}
