package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/pipeline/oracle"
	"github.com/itrstream/itrstream/stages"
)

// quickly are settings with which a dead worker is missed soon.
var quickly = []string{"kafka.session_timeout=6s", "kafka.heartbeat_interval=300ms"}

// killedBeforeItsCommit kills a worker between the batches of a transaction and
// its end. Nobody sees what it had written, but with the other worker each
// outcome comes, once.
func killedBeforeItsCommit(t *testing.T, s services) {
	t.Helper()
	settings := settingsOf(s, tinyBundle, quickly...)
	cfg := load(t, settings)
	o := observe(t, s)
	makeTopics(t, cfg)
	o.produce(oracle.NewWriter(8).Many(400)...)
	dies := startProcess(t, settings, stages.BeforeEndTxn, 14, syscall.SIGKILL)
	dies.reached(t)
	require.ErrorContains(t, dies.cmd.Wait(), "killed")

	dirty, clean := count(t, s, kgo.ReadUncommitted()), count(t, s, kgo.ReadCommitted())
	require.Greater(t, dirty, clean, "what it wrote last is in the topics, and not committed")
	require.Positive(t, clean)
	w := start(t, cfg)
	o.wait()
	w.end(t)
	made(t, o.judge(cfg, oracle.Rules{}))
}

func TestKilledBeforeItsCommitEmbedded(t *testing.T) {
	t.Parallel()
	killedBeforeItsCommit(t, embeddedServices(t))
}

func TestRealKilledBeforeItsCommit(t *testing.T) {
	t.Parallel()
	killedBeforeItsCommit(t, realServices(t))
}

// sleeps stops a worker for longer than its session, at a point, and wakes it
// when another one has done all of its work. It can neither emit nor fold what
// it holds, finds its way back into the group, and works on.
func sleeps(t *testing.T, s services, at stages.CrashPoint) {
	t.Helper()
	settings := settingsOf(s, tinyBundle, quickly...)
	cfg := load(t, settings)
	o := observe(t, s)
	makeTopics(t, cfg)
	posts := oracle.NewWriter(9)
	o.produce(posts.Many(400)...)
	zombie := startProcess(t, settings, at, 14, syscall.SIGSTOP)
	zombie.reached(t)
	w := start(t, cfg)
	o.wait()
	made(t, o.judge(cfg, oracle.Rules{}))

	zombie.wake(t)
	time.Sleep(2 * time.Second) // for what it must not do
	o.produce(posts.Many(100)...)
	o.wait()
	w.end(t)
	o.produce(posts.Many(100)...)
	o.wait() // from the one that slept
	zombie.end(t)
	made(t, o.judge(cfg, oracle.Rules{}))
}

// sleepers are where a worker falls asleep: with a batch that it still has to
// fold, with one that it has folded, and with a transaction that it still has to commit.
var sleepers = []stages.CrashPoint{stages.BeforeFold, stages.AfterFold, stages.BeforeEndTxn}

func TestZombieEmbedded(t *testing.T) {
	t.Parallel()
	for _, at := range sleepers {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			sleeps(t, embeddedServices(t), at)
		})
	}
}

func TestRealZombie(t *testing.T) {
	t.Parallel()
	sleeps(t, realServices(t), stages.BeforeEndTxn)
}
