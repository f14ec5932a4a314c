package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/model"
	"github.com/itrstream/itrstream/pipeline/demo"
	"github.com/itrstream/itrstream/pipeline/demo/assets"
	"github.com/itrstream/itrstream/schemas"
)

func call(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestDemoSummaryAddsUp(t *testing.T) {
	t.Parallel()
	status, out, errs := call("demo", "--json", "--set", "model.bundle="+bundle, "--set", "ops.addr=")
	require.Equal(t, 0, status, errs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var s demo.Summary
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &s), "the last line is JSON")
	require.GreaterOrEqual(t, s.PostsIn, 200)
	require.Equal(t, s.PostsIn, s.Results+s.Tombstones+s.DeadLetters)
	require.Greater(t, len(lines), s.PostsIn, "every outcome is printed")
	require.Positive(t, s.Tombstones)
	require.Positive(t, s.DeadLetters)
	require.Equal(t, 8, s.Clusters)
	require.Len(t, s.Labels, schemas.Relations)
	for _, name := range schemas.RelationNames() {
		require.Contains(t, s.Labels, name)
	}
	require.Positive(t, s.PostsPerSecond)
	require.GreaterOrEqual(t, s.LatencyMS.P99, s.LatencyMS.P50)
	require.Equal(t, "itr-mini", s.Model.Name)
	require.Len(t, s.Model.Digest, 64)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := filepath.Join(t.TempDir(), "good.yaml")
	require.NoError(t, os.WriteFile(good, []byte("kafka: {group: labels}\n"), 0o600))
	status, out, errs := call("validate", "-c", good)
	require.Equal(t, 0, status, errs)
	require.Contains(t, out, "valid")

	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("kafka: {grop: labels}\n"), 0o600))
	status, _, errs = call("validate", "-c", bad)
	require.Equal(t, 1, status)
	require.Contains(t, errs, "kafka.grop: unknown key")

	status, _, errs = call("validate", "-c", filepath.Join(t.TempDir(), "missing.yaml"))
	require.Equal(t, 1, status)
	require.Contains(t, errs, "missing.yaml")
}

func TestEveryCommandHasExamples(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"run"}, {"demo"}, {"validate"}, {"topics"}, {"topics", "create"}, {"redrive"}, {"dataset"}, {"dataset", "stats"}, {"dataset", "verify"}, {"dataset", "sample"}, {"model"}, {"model", "inspect"}, {"model", "verify"}, {"model", "label"}, {"model", "calibrate"}, {"version"}} {
		status, out, _ := call(append(args, "--help")...)
		require.Equal(t, 0, status)
		require.Contains(t, out, "Examples:", args)
	}
}

func TestVersionAsJSON(t *testing.T) {
	t.Parallel()
	status, out, _ := call("version", "--json")
	require.Equal(t, 0, status)
	var v map[string]string
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	require.NotEmpty(t, v["version"])
}

func TestUnknownCommandIsAnError(t *testing.T) {
	t.Parallel()
	status, _, errs := call("lable")
	require.Equal(t, 1, status)
	require.Contains(t, errs, "unknown command")
	for _, group := range []string{"topics", "model"} {
		status, _, errs = call(group, "crate")
		require.Equal(t, 1, status)
		require.Contains(t, errs, "unknown command")
	}
}

func TestTopicsNeedABroker(t *testing.T) {
	t.Parallel()
	status, _, errs := call("topics", "create")
	require.Equal(t, 1, status)
	require.Contains(t, errs, "kafka.brokers")
}

const bundle = "../../../model/bundles/itr-mini"

func TestModelInspect(t *testing.T) {
	t.Parallel()
	status, out, errs := call("model", "inspect", bundle)
	require.Equal(t, 0, status, errs)
	require.Contains(t, out, "itr-mini")

	status, out, errs = call("model", "inspect", bundle, "--json")
	require.Equal(t, 0, status, errs)
	var manifest map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &manifest))
	require.Equal(t, "itr-mini", manifest["name"])
	require.Len(t, manifest["digest"], 64)

	status, _, errs = call("model", "inspect", t.TempDir())
	require.Equal(t, 1, status)
	require.Contains(t, errs, "bundle.yaml")
}

func TestModelVerify(t *testing.T) {
	t.Parallel()
	status, out, errs := call("model", "verify", bundle, "--json")
	require.Equal(t, 0, status, errs)
	var r model.Replay
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.True(t, r.OK)
	require.Equal(t, r.Posts, r.EqualIDs)
	require.Equal(t, r.Posts, r.EqualPixels)
	require.Nil(t, r.PixelErrors)

	const twin = "../../../model/testdata/twins/clip"
	status, out, errs = call("model", "verify", twin, "--golden", twin)
	require.Equal(t, 0, status, errs)
	require.Contains(t, out, "pixel errors  at most 0 of 255 levels")

	status, _, errs = call("model", "verify", twin, "--golden", t.TempDir())
	require.Equal(t, 1, status)
	require.Contains(t, errs, "has no golden posts")
}

func TestModelLabel(t *testing.T) {
	t.Parallel()
	picture := filepath.Join(bundle, "..", "..", "..", "pipeline", "demo", "assets", "images", "astronaut.jpg")
	cam := filepath.Join(t.TempDir(), "cam.png")
	status, out, errs := call("model", "label", picture, "An astronaut", "--json", "--cam", cam, "--set", "model.bundle="+bundle)
	require.Equal(t, 0, status, errs)
	var got struct {
		Relation   string         `json:"relation"`
		Confidence float64        `json:"confidence"`
		Scores     schemas.Scores `json:"scores"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Contains(t, schemas.RelationNames(), got.Relation)
	require.InDelta(t, 1, got.Scores.Neither+got.Scores.ImageAdds+got.Scores.TextRepresented+got.Scores.Both, 1e-5)
	file, err := os.Open(cam)
	require.NoError(t, err)
	defer file.Close()
	overlay, err := png.Decode(file)
	require.NoError(t, err)
	require.Equal(t, image.Rect(0, 0, 224, 224), overlay.Bounds())

	status, _, errs = call("model", "label", "main.go", "text", "--set", "model.bundle="+bundle)
	require.Equal(t, 1, status)
	require.Contains(t, errs, "main.go")
}

func TestModelCalibrate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	posts, err := assets.Posts()
	require.NoError(t, err)
	var lines []byte
	for _, p := range posts[:60] {
		if p.Outcome == assets.Result && p.Expected != "" {
			var post map[string]any
			require.NoError(t, json.Unmarshal(p.Value, &post))
			post["relation"] = p.Expected
			line, err := json.Marshal(post)
			require.NoError(t, err)
			lines = append(append(lines, line...), '\n')
		}
	}
	file, fitted := filepath.Join(dir, "posts.jsonl"), filepath.Join(dir, "mine.yaml")
	require.NoError(t, os.WriteFile(file, lines, 0o600))
	set := []string{"--set", "model.bundle=" + bundle, "--out", fitted}

	status, out, errs := call(append([]string{"model", "calibrate", file, "--priors", "70,10,10,10"}, set...)...)
	require.Equal(t, 0, status, errs)
	require.Regexp(t, `neither +[0-9.]+ +0\.700`, out)
	status, _, errs = call(append([]string{"model", "calibrate", file}, set...)...)
	require.Equal(t, 1, status, "a file is not replaced unasked")
	require.Contains(t, errs, "--force")
	status, _, errs = call(append([]string{"model", "calibrate", file, "--verdicts", "--force"}, set...)...)
	require.Equal(t, 0, status, errs)

	picture := filepath.Join("..", "..", "demo", "assets", "images", "astronaut.jpg")
	status, _, errs = call("model", "label", picture, "x", "--set", "model.bundle="+bundle, "--set", "model.calibration="+fitted)
	require.Equal(t, 0, status, errs)
	status, out, errs = call("validate", "--set", "model.calibration="+fitted)
	require.Equal(t, 0, status, errs)
	_, plain, _ := call("validate")
	require.NotEqual(t, plain, out, "the calibration is part of what decides")

	for _, bad := range [][]string{{"--priors", "1,2,3"}, {"--priors", "1,2,3,zero"}} {
		status, _, errs = call(append(append([]string{"model", "calibrate", file}, bad...), set...)...)
		require.Equal(t, 1, status)
		require.Contains(t, errs, "--priors")
	}
}

func TestEffectiveConfigurationHidesSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "itrstream.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
kafka: {group: labels, sasl: {mechanism: plain, username: me, password: hunter2-kafka}}
redis: {username: me, password: hunter2-redis}
privacy: {authors: hash, author_key: hunter2-author-0123456789abcdef0123}
`), 0o600))
	status, out, errs := call("validate", "-c", file, "--effective")
	require.Equal(t, 0, status, errs)
	require.Contains(t, out, "group: labels")
	require.Contains(t, out, "username: me")
	require.Contains(t, out, `password: "(hidden)"`)
	require.NotContains(t, out+errs, "hunter2")
	for _, broken := range []string{"--set=redis.addr=nowhere", "--set=kafka.sasl.password_file=x", "--set=privacy.author_key=hunter2-short", "--set=redis.password_file=x", "--set=redis.passwort=hunter2"} {
		status, out, errs = call("validate", "-c", file, "--effective", broken)
		require.Equal(t, 1, status, broken)
		require.NotContains(t, out+errs, "hunter2", broken)
	}
}
