package checks

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const composeFile = "../compose/compose.yaml"

// project loads compose.yaml as docker compose does, its schema included.
func project(t *testing.T, file string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file})
	require.NoError(t, err)
	p, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return p
}

func TestCompose(t *testing.T) {
	t.Parallel()
	p := project(t, composeFile)
	require.ElementsMatch(t, []string{"kafka", "redis", "volume", "itrstream", "collector", "prometheus", "grafana"}, p.ServiceNames())
	pinned := regexp.MustCompile(`^[a-z/]+:[\w.-]+@sha256:[0-9a-f]{64}$`)
	for name, service := range p.Services {
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeBind {
				_, err := os.Stat(volume.Source)
				require.NoError(t, err, "%s mounts what does not exist", name)
			}
		}
		for _, port := range service.Ports {
			require.Equal(t, "127.0.0.1", port.HostIP, "%s listens beyond this machine", name)
		}
		for _, waits := range service.GetDependencies() {
			require.Contains(t, p.Services, waits)
		}
		if name == "itrstream" || name == "collector" {
			require.Equal(t, p.Services["itrstream"].Image, service.Image)
			require.True(t, service.ReadOnly)
			require.Equal(t, []string{"ALL"}, service.CapDrop)
			help, err := exec.CommandContext(t.Context(), tool(t, "ITRSTREAM"), service.Command[0], "--help").CombinedOutput()
			require.NoError(t, err, "%s", help)
			require.Contains(t, string(help), "itrstream "+service.Command[0]+" [flags]", "itrstream has no command %s", service.Command[0])
			continue
		}
		require.Regexp(t, pinned, service.Image, name)
	}
	build := p.Services["itrstream"].Build
	require.FileExists(t, filepath.Join(build.Context, build.Dockerfile))
	require.FileExists(t, filepath.Join(build.Context, ".dockerignore"))
}

func TestComposeConfiguration(t *testing.T) {
	t.Parallel()
	p := project(t, composeFile)
	said, err := exec.CommandContext(t.Context(), tool(t, "ITRSTREAM"), "validate", "-c", "../compose/itrstream.yaml").CombinedOutput()
	require.NoError(t, err, "%s", said)

	var config struct {
		Kafka struct{ Brokers []string }
		Redis struct{ Addr string }
		Ops   struct{ Addr string }
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "../compose/itrstream.yaml")), &config))
	require.Contains(t, *p.Services["kafka"].Environment["KAFKA_ADVERTISED_LISTENERS"], "://"+config.Kafka.Brokers[0])
	redis, _, _ := strings.Cut(config.Redis.Addr, ":")
	require.Contains(t, p.Services, redis)

	// Who is scraped exists, at the port that listens, and the rules are where Prometheus looks for them.
	var prometheus struct {
		RuleFiles     []string `json:"rule_files"`
		ScrapeConfigs []struct {
			StaticConfigs []struct{ Targets []string } `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "../compose/prometheus.yml")), &prometheus))
	mounted := map[string]string{}
	for _, volume := range p.Services["prometheus"].Volumes {
		mounted[volume.Target] = volume.Source
	}
	for _, file := range prometheus.RuleFiles {
		require.FileExists(t, mounted[file], "no volume brings %s", file)
	}
	_, port, _ := strings.Cut(config.Ops.Addr, ":")
	targets := 0
	for _, scrape := range prometheus.ScrapeConfigs {
		for _, static := range scrape.StaticConfigs {
			for _, target := range static.Targets {
				targets++
				host, at, _ := strings.Cut(target, ":")
				require.Contains(t, p.Services, host)
				require.Equal(t, port, at, "%s listens at another port", host)
			}
		}
	}
	require.Equal(t, 2, targets)
}

// TestGrafanaProvisioning: the datasource reaches Prometheus, and the dashboard lies where the provider
// looks.
func TestGrafanaProvisioning(t *testing.T) {
	t.Parallel()
	p := project(t, composeFile)
	var sources struct {
		Datasources []struct{ Type, URL string }
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "../compose/grafana/provisioning/datasources/prometheus.yaml")), &sources))
	require.Len(t, sources.Datasources, 1)
	host, _, _ := strings.Cut(strings.TrimPrefix(sources.Datasources[0].URL, "http://"), ":")
	require.Contains(t, p.Services, host)
	var providers struct {
		Providers []struct{ Options struct{ Path string } }
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "../compose/grafana/provisioning/dashboards/itrstream.yaml")), &providers))
	found := false
	for _, volume := range p.Services["grafana"].Volumes {
		if filepath.Dir(volume.Target) == providers.Providers[0].Options.Path {
			found = true
			require.FileExists(t, volume.Source)
			require.Equal(t, volume.Target, *p.Services["grafana"].Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
		}
	}
	require.True(t, found, "nothing is mounted where Grafana looks for dashboards")
}
