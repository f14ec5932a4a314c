package collector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/itrstream/itrstream/connectors/dataset"
	"github.com/itrstream/itrstream/pipeline/collector"
	"github.com/itrstream/itrstream/pipeline/config"
	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// processVariable turns this test program into one collector.
const processVariable = "ITRSTREAM_TEST_COLLECTOR"

// orders are what a collector of its own process is to do.
type orders struct {
	Settings []string
	// At the Nth time it reaches Point it makes the file Hit and gets Signal.
	Point  stages.CrashPoint
	Nth    int64
	Signal syscall.Signal
	Hit    string
}

func TestMain(m *testing.M) {
	if text := os.Getenv(processVariable); text != "" {
		if err := collectAsOrdered(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func collectAsOrdered(text string) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	cfg, err := config.Load("", nil, o.Settings)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { // the end of the test program is ours
		_, _ = os.Stdin.Read(make([]byte, 1))
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}()
	var reached atomic.Int64
	ctx = stages.WithCrashes(ctx, func(p stages.CrashPoint) {
		if p != o.Point || reached.Add(1) != o.Nth {
			return
		}
		if err := os.WriteFile(o.Hit, []byte(p), 0o600); err != nil {
			panic(err)
		}
		_ = syscall.Kill(os.Getpid(), o.Signal)
		time.Sleep(100 * time.Millisecond) // until the signal has come; who was only stopped goes on here
	})
	return collector.Run(ctx, cfg, collector.Settings{
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Now: time.Now, Alloc: memory.DefaultAllocator,
	})
}

// process is a collector that can be killed and stopped.
type process struct {
	cmd *exec.Cmd
	hit string
}

func (w *world) start(settings []string, point stages.CrashPoint, nth int64, s syscall.Signal) *process {
	w.t.Helper()
	p := &process{hit: filepath.Join(w.t.TempDir(), "hit")}
	text, err := json.Marshal(orders{Settings: append(slices.Clone(w.args), settings...), Point: point, Nth: nth, Signal: s, Hit: p.hit})
	require.NoError(w.t, err)
	self, err := os.Executable()
	require.NoError(w.t, err)
	p.cmd = exec.CommandContext(context.WithoutCancel(w.t.Context()), self)
	p.cmd.Env = append(os.Environ(), processVariable+"="+string(text))
	p.cmd.Stderr = w.t.Output()
	_, err = p.cmd.StdinPipe() // closed with this process
	require.NoError(w.t, err)
	require.NoError(w.t, p.cmd.Start())
	w.t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill() // it may have ended by itself
		_ = p.cmd.Wait()
	}
}

func (p *process) reached() bool {
	_, err := os.Stat(p.hit)
	return err == nil
}

// sent is what a stream was made of.
type sent struct {
	rows                           []string // results that must be rows
	malformed, duplicates, revoked int64
}

// stream sends pairs, near duplicates, rubbish and takedowns until stop is closed.
func (w *world) stream(stop <-chan struct{}) (s sent) {
	w.t.Helper()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return s
		default:
		}
		p := w.pair(i)
		switch {
		case i%50 == 49:
			w.send(p, "no JSON")
			s.malformed++
		case i%20 == 19:
			twice := p
			twice.ResultID = fmt.Sprintf("result-%d-twice", i)
			w.send(p, twice)
			s.duplicates++
		case i%20 == 9:
			w.send(p, schemas.Takedown{Schema: schemas.TakedownSchema, PostID: p.PostID, RequestedAt: moment})
			s.revoked++
			continue
		default:
			w.send(p)
		}
		s.rows = append(s.rows, p.ResultID)
		time.Sleep(20 * time.Millisecond)
	}
}

// group is a consumer group of a process's own: it is given every partition at
// once, with all others still at work on them. Nothing but the log keeps them apart.
func group(name string) []string { return []string{"kafka.group=" + name} }

// Collectors are killed at each crash point, and at moments that are drawn,
// while records stream in and another collector works on the same partitions; and one
// wakes up that was stopped before it could write its entry. In the end every
// record is in one shard, or counted as dropped.
func TestNothingIsLostOrTwiceWhateverCrashes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, "collect.shard_rows=7", "collect.shard_every=1s")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	stop, all := make(chan struct{}), make(chan sent, 1)
	go func() { all <- w.stream(stop) }()
	zombie := w.start(group("zombie"), dataset.AfterShard, 2, syscall.SIGSTOP)
	require.Eventually(t, zombie.reached, 30*time.Second, 20*time.Millisecond, "the zombie's shard")
	beside := w.start(group("beside"), "", 0, 0)

	var hits []stages.CrashPoint
	for i, point := range append(slices.Concat(collector.CrashPoints(), collector.CrashPoints()), dataset.AfterFence, "", "") {
		p := w.start(group(fmt.Sprintf("killed-%d", i)), point, 1+rng.Int64N(2), syscall.SIGKILL)
		until := time.Now().Add(time.Second + time.Duration(rng.Int64N(int64(time.Second))))
		certain := slices.Contains(collector.CrashPoints(), point)
		for !p.reached() && (certain || time.Now().Before(until)) {
			require.Less(t, time.Since(until), 30*time.Second, "nobody comes to %s", point)
			time.Sleep(10 * time.Millisecond)
		}
		if p.reached() {
			hits = append(hits, point)
		}
		p.kill()
	}
	close(stop)
	want := <-all
	t.Logf("%d rows; killed at %v", len(want.rows), hits)
	require.NoError(t, zombie.cmd.Process.Signal(syscall.SIGCONT))
	time.Sleep(time.Second)
	for _, p := range []*process{beside, zombie} {
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, p.cmd.Wait())
	}
	w.drain()

	m, rows := w.contents()
	once := map[string]int{}
	for _, name := range want.rows {
		once[name] = 1
	}
	assert.Equal(t, once, ids(rows))
	assert.Equal(t, want.malformed, m.Dropped[collector.Malformed])
	assert.Equal(t, want.duplicates, m.Dropped[collector.Duplicate])
	assert.Equal(t, want.revoked, m.Dropped[collector.TakenDown]+m.Removed)
	assert.Len(t, m.Dropped, 3)
}
