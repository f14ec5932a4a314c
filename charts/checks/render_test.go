package checks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

func TestHelmLint(t *testing.T) {
	t.Parallel()
	for name, file := range examples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, err := run(t, ".", tool(t, "HELM"), "lint", "--strict", "--kube-version", kube, chart, "-f", file)
			require.NoError(t, err, stdout+stderr)
		})
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, file := range examples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := render(t, "-f", file)
			require.NoError(t, err, out)
			golden(t, filepath.Join("testdata", "golden", name+".yaml"), out)
		})
	}
}

// TestSchemas holds what the examples make against Kubernetes's own schemas,
// of the oldest version that the chart is for, and two that are in use, and custom resources
// against the schemas in crds.
func TestSchemas(t *testing.T) {
	t.Parallel()
	schemas := tool(t, "KUBERNETES_SCHEMAS_STAMP")
	for name, file := range examples(t) {
		out, err := render(t, "-f", file)
		require.NoError(t, err, out)
		objects := filepath.Join(t.TempDir(), name+".yaml")
		require.NoError(t, os.WriteFile(objects, []byte(out), 0o600))
		for _, version := range []string{"1.30.0", "1.34.0", "1.37.0"} {
			t.Run(name+" on "+version, func(t *testing.T) {
				t.Parallel()
				stdout, stderr, err := run(t, ".", tool(t, "KUBECONFORM"), "-strict", "-summary", "-kubernetes-version", version,
					"-schema-location", filepath.Dir(schemas)+"/{{ .NormalizedKubernetesVersion }}/{{ .ResourceKind }}{{ .KindSuffix }}.json",
					"-schema-location", "crds/{{ .ResourceKind }}.json", objects)
				require.NoError(t, err, stdout+stderr)
				require.Contains(t, stdout, "Skipped: 0")
			})
		}
	}
}

// split reads the objects of one rendering into what kind says they are.
func split(t *testing.T, text string) map[string][]byte {
	t.Helper()
	objects := map[string][]byte{}
	for _, part := range strings.Split("\n"+text, "\n---\n") {
		var meta struct {
			Kind     string
			Metadata metav1.ObjectMeta
		}
		require.NoError(t, yaml.Unmarshal([]byte(part), &meta))
		if meta.Kind != "" {
			objects[meta.Kind+"/"+meta.Metadata.Name] = []byte(part)
		}
	}
	return objects
}

func deployments(t *testing.T, objects map[string][]byte) []appsv1.Deployment {
	t.Helper()
	var all []appsv1.Deployment
	for name, text := range objects {
		if strings.HasPrefix(name, "Deployment/") {
			var d appsv1.Deployment
			require.NoError(t, yaml.UnmarshalStrict(text, &d))
			all = append(all, d)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// TestItrstreamAcceptsTheConfiguration gives itrstream validate what the kubelet gives the label
// pods, projected files and variables, and sees that the commands exist. The collector reads the same configuration
// with fewer secrets.
func TestItrstreamAcceptsTheConfiguration(t *testing.T) {
	t.Parallel()
	for name, file := range examples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := render(t, "-f", file)
			require.NoError(t, err, out)
			objects := split(t, out)
			var cm corev1.ConfigMap
			require.NoError(t, yaml.UnmarshalStrict(objects["ConfigMap/itrstream"], &cm))
			for _, d := range deployments(t, objects) {
				pod := d.Spec.Template.Spec
				etc := t.TempDir()
				for _, volume := range pod.Volumes {
					if volume.Projected == nil {
						continue
					}
					for _, source := range volume.Projected.Sources {
						if source.Secret == nil {
							continue
						}
						for _, item := range source.Secret.Items {
							path := filepath.Join(etc, item.Path)
							require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
							require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600))
						}
					}
				}
				config := filepath.Join(etc, "itrstream.yaml")
				text := strings.ReplaceAll(cm.Data["itrstream.yaml"], "/etc/itrstream/", etc+"/")
				require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
				container := pod.Containers[0]
				cmd := exec.CommandContext(t.Context(), tool(t, "ITRSTREAM"), "validate", "-c", config)
				for _, e := range container.Env {
					cmd.Env = append(cmd.Env, e.Name+"="+map[bool]string{true: e.Value, false: "from-elsewhere"}[e.ValueFrom == nil])
				}
				if d.Name == "itrstream-label" {
					said, err := cmd.CombinedOutput()
					require.NoError(t, err, "%s: %s\n%s", d.Name, said, text)
				} else {
					for _, label := range []string{"redis", "author"} {
						require.NoDirExists(t, filepath.Join(etc, "secrets", label), "%s gets a secret that it has no use for", d.Name)
					}
				}
				require.Equal(t, []string{"-c", "/etc/itrstream/itrstream.yaml"}, container.Args[1:])
				help, err := exec.CommandContext(t.Context(), tool(t, "ITRSTREAM"), container.Args[0], "--help").CombinedOutput()
				require.NoError(t, err, "%s", help)
				require.Contains(t, string(help), "itrstream "+container.Args[0]+" [flags]", "itrstream has no command %s", container.Args[0])
			}
		})
	}
}

// TestPods: what must be true of every pod, whatever the values.
func TestPods(t *testing.T) {
	t.Parallel()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	require.NoError(t, err)
	for name, file := range examples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := render(t, "-f", file)
			require.NoError(t, err, out)
			objects := split(t, out)
			for name := range objects {
				require.False(t, strings.HasPrefix(name, "Secret/"), "the chart makes %s: secrets are only referred to", name)
			}
			for _, d := range deployments(t, objects) {
				pod := d.Spec.Template
				for _, result := range evaluator.EvaluatePod(psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}, &pod.ObjectMeta, &pod.Spec) {
					require.True(t, result.Allowed, "%s: the restricted Pod Security Standard forbids %s: %s", d.Name, result.ForbiddenReason, result.ForbiddenDetail)
				}
				require.Len(t, pod.Spec.Containers, 1)
				c := pod.Spec.Containers[0]
				require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem)
				require.NotZero(t, *pod.Spec.SecurityContext.RunAsUser)
				require.False(t, *pod.Spec.AutomountServiceAccountToken)
				for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
					require.NotNil(t, probe)
					require.Equal(t, "ops", probe.HTTPGet.Port.StrVal)
				}
				require.Equal(t, "ops", c.Ports[0].Name)
				require.Regexp(t, `^:\d+$`, config(t, objects)["ops"].(object)["addr"], "of IPv4 and IPv6")

				// What is in flight must be done before the pod is killed, and before the group gives its partitions away.
				timeout := config(t, objects)["shutdown"].(object)["timeout"].(string)
				stop, err := time.ParseDuration(timeout)
				require.NoError(t, err)
				grace := *pod.Spec.TerminationGracePeriodSeconds
				require.Greater(t, float64(grace), stop.Seconds()+float64(c.Lifecycle.PreStop.Sleep.Seconds))
				require.NotEmpty(t, c.Resources.Limits.Memory().String())
			}
		})
	}
}

func config(t *testing.T, objects map[string][]byte) object {
	t.Helper()
	var cm corev1.ConfigMap
	require.NoError(t, yaml.UnmarshalStrict(objects["ConfigMap/itrstream"], &cm))
	var c object
	require.NoError(t, yaml.Unmarshal([]byte(cm.Data["itrstream.yaml"]), &c))
	return c
}
