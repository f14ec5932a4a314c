package plain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Build is one run through a Dockerfile.
type Build struct {
	Dockerfile string // its path
	Context    string // the folder that COPY copies from
	Dir        string // an empty folder for the stages' trees, on a file system that overlays can have
	Args       map[string]string
	// Caches are what stands for cache mounts, by their targets.
	Caches map[string]Cache
	Log    io.Writer
}

// Cache is a folder of the machine that stands for a cache mount. It is mounted at its
// own path and not the target's, and Variable names it to the program: what Go has compiled
// knows where its sources lie, and would not be found again elsewhere.
type Cache struct {
	Folder, Variable string
}

// stage is what a stage has become.
type stage struct {
	tree string // what it put over its base
	env  map[string]string
	dir  string // WORKDIR
	work string // the overlay's own
}

// Image is what the last stage has become.
type Image struct {
	Tree        string // the files that it put over its base
	Env         map[string]string
	Dir         string
	User        string
	Entrypoint  []string
	Cmd         []string
	Healthcheck []string
	Labels      map[string]string
}

// Run goes through all stages.
func (b *Build) Run(ctx context.Context) (*Image, error) {
	file, err := os.Open(b.Dockerfile)
	if err != nil {
		return nil, fmt.Errorf("plain: %w", err)
	}
	defer file.Close()
	stages, err := Parse(file)
	if err != nil {
		return nil, err
	}
	ignored, err := b.ignored()
	if err != nil {
		return nil, err
	}
	done := map[string]*stage{}
	image := &Image{Labels: map[string]string{}}
	for i, s := range stages {
		st := &stage{tree: filepath.Join(b.Dir, fmt.Sprintf("stage%d", i)), work: filepath.Join(b.Dir, fmt.Sprintf("work%d", i)), env: map[string]string{}, dir: "/"}
		for _, dir := range []string{st.tree, st.work, st.work + ".merged"} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return nil, fmt.Errorf("plain: %w", err)
			}
		}
		if strings.HasPrefix(s.Base, "golang:") {
			st.env["GOPATH"] = "/go" // as the base has it
		}
		args := map[string]string{}
		for _, step := range s.Steps {
			_, _ = fmt.Fprintf(b.Log, "%s %s:%d: %s\n", time.Now().Format(time.TimeOnly), filepath.Base(b.Dockerfile), step.Line, step.Original)
			if err := b.step(ctx, st, step, args, done, ignored, image); err != nil {
				return nil, fmt.Errorf("plain: %s:%d: %s: %w", b.Dockerfile, step.Line, step.Original, err)
			}
		}
		if s.Name != "" {
			done[s.Name] = st
		}
		image.Tree, image.Env, image.Dir = st.tree, st.env, st.dir
	}
	return image, nil
}

func (b *Build) step(ctx context.Context, st *stage, step Step, args map[string]string, done map[string]*stage, ignored *patternmatcher.PatternMatcher, image *Image) error {
	expand := func(s string) string {
		return os.Expand(s, func(name string) string {
			if v, ok := st.env[name]; ok {
				return v
			}
			return args[name]
		})
	}
	switch step.Name {
	case "ARG":
		name, value, _ := strings.Cut(step.Args[0], "=")
		if given, ok := b.Args[name]; ok {
			value = given
		}
		args[name] = value
	case "ENV":
		for i := 0; i+1 < len(step.Args); i += 3 { // name, value, separator
			st.env[step.Args[i]] = expand(strings.Trim(step.Args[i+1], `"`))
		}
	case "LABEL":
		for i := 0; i+1 < len(step.Args); i += 3 {
			image.Labels[step.Args[i]] = expand(strings.Trim(step.Args[i+1], `"`))
		}
	case "WORKDIR":
		st.dir = path.Join(st.dir, step.Args[0])
		if path.IsAbs(step.Args[0]) {
			st.dir = step.Args[0]
		}
		return os.MkdirAll(filepath.Join(st.tree, st.dir), 0o755)
	case "COPY":
		return b.copy(st, step, done, ignored)
	case "RUN":
		return b.run(ctx, st, step, args)
	case "USER":
		image.User = step.Args[0]
	case "ENTRYPOINT", "CMD", "HEALTHCHECK":
		if !step.JSON {
			return errors.New("must be a JSON array: the image has no shell")
		}
		switch step.Name {
		case "ENTRYPOINT":
			image.Entrypoint = step.Args
		case "CMD":
			image.Cmd = step.Args
		default:
			image.Healthcheck = step.Args
		}
	}
	return nil
}

func (b *Build) ignored() (*patternmatcher.PatternMatcher, error) {
	file, err := os.Open(filepath.Join(b.Context, ".dockerignore"))
	if err != nil {
		return nil, fmt.Errorf("plain: %w", err)
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("plain: .dockerignore: %w", err)
	}
	return patternmatcher.New(patterns)
}

// copy knows what our files need: files and folders, one or more, from the
// context or another stage.
func (b *Build) copy(st *stage, step Step, done map[string]*stage, ignored *patternmatcher.PatternMatcher) error {
	from := b.Context
	leaveOut := func(rel string) (bool, error) { return ignored.MatchesOrParentMatches(rel) }
	for _, flag := range step.Flags {
		name, ok := strings.CutPrefix(flag, "--from=")
		if !ok {
			return fmt.Errorf("%s is not known here", flag)
		}
		other := done[name]
		if other == nil {
			return fmt.Errorf("there is no stage %s before this one", name)
		}
		from, leaveOut = other.tree, func(string) (bool, error) { return false, nil }
	}
	sources, to := step.Args[:len(step.Args)-1], step.Args[len(step.Args)-1]
	target := filepath.Join(st.tree, to)
	if !path.IsAbs(to) {
		target = filepath.Join(st.tree, st.dir, to)
	}
	for _, source := range sources {
		at := filepath.Join(from, source)
		if _, err := os.Stat(at); err != nil && from != b.Context {
			at = source // of the base, for which the machine stands
		}
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			into := target
			if strings.HasSuffix(to, "/") {
				into = filepath.Join(target, filepath.Base(source))
			}
			if out, err := leaveOut(source); err != nil || out {
				return errors.Join(err, fmt.Errorf(".dockerignore leaves %s out", source))
			}
			if err := copyFile(at, into, info.Mode()); err != nil {
				return err
			}
			continue
		}
		copied := 0
		err = filepath.WalkDir(at, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(from, p)
			if err != nil {
				return err
			}
			if out, err := leaveOut(filepath.ToSlash(rel)); err != nil || out {
				return err
			}
			inside, err := filepath.Rel(at, p)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			copied++
			return copyFile(p, filepath.Join(target, inside), info.Mode())
		})
		if err != nil {
			return err
		}
		if copied == 0 {
			return fmt.Errorf("%s has no files, or .dockerignore leaves all of them out", source)
		}
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode.Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// run runs a command on the machine's root with the stage's tree over it; what it
// writes goes into the tree.
func (b *Build) run(ctx context.Context, st *stage, step Step, args map[string]string) error {
	merged := st.work + ".merged"
	env := []string{"HOME=/root"}
	script := &strings.Builder{}
	fmt.Fprintf(script, "set -eu\nmount -t overlay overlay -o lowerdir=/,upperdir=%s,workdir=%s %s\n", st.tree, st.work, merged)
	fmt.Fprintf(script, "mount --rbind /proc %[1]s/proc\nmount --rbind /sys %[1]s/sys\nmount --rbind /dev %[1]s/dev\n", merged)
	for _, flag := range step.Flags {
		target, ok := strings.CutPrefix(flag, "--mount=type=cache,target=")
		if !ok {
			return fmt.Errorf("%s is not known here", flag)
		}
		cache, ok := b.Caches[target]
		if !ok {
			return fmt.Errorf("no folder stands for the cache %s", target)
		}
		if err := os.MkdirAll(cache.Folder, 0o755); err != nil {
			return err
		}
		env = append(env, cache.Variable+"="+cache.Folder)
		fmt.Fprintf(script, "mkdir -p %[2]s%[1]s\nmount --bind %[1]s %[2]s%[1]s\n", cache.Folder, merged)
	}
	fmt.Fprintf(script, "cd /\nexec chroot %s /bin/sh -euc 'cd \"$1\"; eval \"$2\"' sh \"$1\" \"$2\"\n", merged)
	cmd := namespace(ctx, script.String(), st.dir, strings.Join(step.Args, " "))
	// The machine's own variables say how its package clients reach their registries; where its Go keeps things
	// is the base image's business.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); !slices.Contains([]string{"GOPATH", "GOCACHE", "GOMODCACHE", "GOFLAGS", "GOBIN"}, name) {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	for _, m := range []map[string]string{args, st.env} {
		for name, value := range m {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return output(cmd, b.Log)
}

// namespace runs a script in a mount namespace of its own, so that no mount
// outlives it.
func namespace(ctx context.Context, script string, args ...string) *exec.Cmd {
	how := []string{"--mount", "--propagation", "private"}
	if os.Geteuid() != 0 {
		how = append(how, "--map-root-user")
	}
	return exec.CommandContext(ctx, "unshare", append(append(how, "/bin/sh", "-c", script, "sh"), args...)...)
}

func output(cmd *exec.Cmd, log io.Writer) error {
	var tail bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(log, &tail), io.MultiWriter(log, &tail)
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(tail.String())
		return fmt.Errorf("%w: %s", err, said[max(0, len(said)-2000):])
	}
	return nil
}
