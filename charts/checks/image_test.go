package checks

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/charts/checks/plain"
)

var dockerfiles = []string{"../images/Dockerfile", "../images/Dockerfile.cuda"}

// building is held by one build at a time: they compile the same program, and
// the second finds it in the compiler's cache.
var building sync.Mutex

func TestDockerfilesKeepTheLintersRules(t *testing.T) {
	t.Parallel()
	stdout, stderr, err := run(t, ".", tool(t, "HADOLINT"), append([]string{"--no-color", "--failure-threshold", "style"}, dockerfiles...)...)
	require.NoError(t, err, stdout+stderr)
}

// TestBothImagesAreBuiltAlike: the same compiler, the same flags, the same
// stages.
func TestBothImagesAreBuiltAlike(t *testing.T) {
	t.Parallel()
	build := regexp.MustCompile(`(?s)FROM golang:.*?\n\n`)
	require.Equal(t, build.FindString(read(t, dockerfiles[0])), build.FindString(read(t, dockerfiles[1])))
	goVersion := regexp.MustCompile(`(?m)^go (1\.\d+)`).FindStringSubmatch(read(t, filepath.Join(root, "go.mod")))[1]
	require.Contains(t, read(t, dockerfiles[0]), "FROM golang:"+goVersion+".", "go.mod asks for another Go")
	version := regexp.MustCompile(`const Version = "([^"]+)"`).FindStringSubmatch(read(t, filepath.Join(root, "model/runtime/library.go")))[1]
	require.Contains(t, read(t, "../images/onnxruntime-gpu.txt"), "onnxruntime-gpu=="+version+" ")
	require.Contains(t, read(t, dockerfiles[1]), "libonnxruntime.so."+version+" ")
}

// TestImages goes through each Dockerfile without an engine, and runs what
// comes out as its user on a read-only root. It needs the machine's Go, pip, registries and the
// right to mount in a namespace of its own.
func TestImages(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	require.NoError(t, plain.Base(t.Context(), base))
	for _, dockerfile := range dockerfiles {
		t.Run(filepath.Base(dockerfile), func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			image := build(t, dockerfile)
			t.Logf("built in %s", time.Since(began).Round(time.Second))
			require.Equal(t, []string{"/usr/local/bin/itrstream"}, image.Entrypoint)
			require.Equal(t, "test-version", image.Labels["org.opencontainers.image.version"])
			require.NotEmpty(t, image.Labels["org.opencontainers.image.source"])
			checkLibraries(t, image)

			in := inside{image, base, t.TempDir()}
			require.Contains(t, in.output(t, nil, "version"), "test-version")
			require.Contains(t, in.output(t, nil, "version"), "JPEG by libjpeg-turbo")
			in.output(t, nil, "model", "verify", "model/bundles/itr-mini")

			out := in.output(t, []string{"ITRSTREAM_OPS_ADDR="}, "demo", "--json")
			lines := strings.Split(strings.TrimSpace(out), "\n")
			var summary struct{ Posts_in, Results int } //nolint:revive // as the demo writes it
			require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &summary))
			require.NotZero(t, summary.Results, lines[len(lines)-1])

			in.serve(t)
		})
	}
}

func build(t *testing.T, dockerfile string) *plain.Image {
	t.Helper()
	var kept bytes.Buffer
	log := io.Writer(&kept)
	if testing.Verbose() {
		log = io.MultiWriter(log, os.Stderr)
	}
	b := plain.Build{
		Dockerfile: dockerfile, Context: root, Dir: t.TempDir(), Args: map[string]string{"VERSION": "test-version"}, Log: log,
		Caches: map[string]plain.Cache{
			"/go/pkg/mod": {Folder: goEnv(t, "GOMODCACHE"), Variable: "GOMODCACHE"},
			"/go/cache":   {Folder: goEnv(t, "GOCACHE"), Variable: "GOCACHE"},
		},
	}
	building.Lock()
	defer building.Unlock()
	image, err := b.Run(t.Context())
	require.NoError(t, err, kept.String())
	return image
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// basesHave are the libraries that both bases have. What has CUDA in it finds
// more in its base, and libcuda from the driver, which the container engine
// brings in.
var (
	basesHave = []string{
		"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libresolv.so.2", "libgcc_s.so.1", "libstdc++.so.6",
		"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
	}
	cudaHas = []string{"libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10", "libcuda.so.1"}
)

// checkLibraries: what programs and libraries of the tree want is in the tree
// or known to be in the base.
func checkLibraries(t *testing.T, image *plain.Image) {
	t.Helper()
	have := slices.Clone(basesHave)
	if strings.Contains(image.Labels["org.opencontainers.image.base.name"], "/cuda:") {
		have = append(have, cudaHas...)
	}
	var wanted []string
	require.NoError(t, filepath.WalkDir(filepath.Join(image.Tree, "usr"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		have = append(have, d.Name())
		file, err := elf.Open(path)
		if err != nil {
			return nil // no program and no library
		}
		defer file.Close()
		libraries, err := file.ImportedLibraries()
		wanted = append(wanted, libraries...)
		return err
	}))
	require.NotEmpty(t, wanted)
	for _, library := range wanted {
		require.True(t, slices.Contains(have, library), "nothing brings %s", library)
	}
}

// inside runs programs of an image.
type inside struct {
	image         *plain.Image
	base, scratch string
}

func (in inside) output(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd, err := in.image.Command(t.Context(), in.base, in.scratch, nil, env, append(slices.Clone(in.image.Entrypoint), args...)...)
	require.NoError(t, err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", out, stderr.String())
	return string(out)
}

// serve starts the image's own command with a configuration laid over
// /etc/itrstream, on embedded services, asks its health as its own check does, and stops it.
func (in inside) serve(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	env := []string{"ITRSTREAM_OPS_ADDR=" + listener.Addr().String()}
	require.NoError(t, listener.Close())
	over := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(over, "etc/itrstream"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(over, "etc/itrstream/itrstream.yaml"), []byte("log: {level: warn}\n"), 0o644))
	require.NoError(t, os.Chmod(over, 0o755))

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	server, err := in.image.Command(ctx, in.base, in.scratch, []string{over}, env, slices.Concat(in.image.Entrypoint, in.image.Cmd)...)
	require.NoError(t, err)
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	require.NoError(t, server.Start())
	check := slices.Clone(in.image.Healthcheck)
	for _, more := range [][]string{nil, {"--ready"}} {
		for {
			asked, err := in.image.Command(ctx, in.base, in.scratch, nil, env, append(slices.Clone(check), more...)...)
			require.NoError(t, err)
			out, err := asked.CombinedOutput()
			if err == nil {
				break
			}
			require.NoError(t, ctx.Err(), "%s\n%s", out, said.String())
			time.Sleep(200 * time.Millisecond)
		}
	}
	require.NoError(t, server.Process.Signal(os.Interrupt))
	require.NoError(t, server.Wait(), said.String())
}
