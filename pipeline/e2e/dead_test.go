package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

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
	o := newOracle(t, s.brokers, "posts")
	makeTopics(t, cfg)
	o.produce(newWriter(t, 8).many(400)...)
	dies := startProcess(t, settings, stages.BeforeEndTxn, 14, syscall.SIGKILL)
	dies.reached(t)
	require.ErrorContains(t, dies.cmd.Wait(), "killed")

	dirty, clean := o.count(kgo.ReadUncommitted()), o.count(kgo.ReadCommitted())
	require.Greater(t, dirty, clean, "what it wrote last is in the topics, and not committed")
	require.Positive(t, clean)
	w := start(t, cfg)
	got := o.wait(patience)
	w.end(t)
	o.judge(got, false)
	holdsEveryPair(t, o, cfg.Cluster.Bootstrap, totals(t, cfg))
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
	o := newOracle(t, s.brokers, "posts")
	makeTopics(t, cfg)
	posts := newWriter(t, 9)
	o.produce(posts.many(400)...)
	zombie := startProcess(t, settings, at, 14, syscall.SIGSTOP)
	zombie.reached(t)
	w := start(t, cfg)
	o.judge(o.wait(patience), false)
	holdsEveryPair(t, o, cfg.Cluster.Bootstrap, totals(t, cfg))

	zombie.wake(t)
	time.Sleep(2 * time.Second) // for what it must not do
	o.produce(posts.many(100)...)
	o.wait(patience)
	w.end(t)
	o.produce(posts.many(100)...)
	got := o.wait(patience) // from the one that slept
	zombie.end(t)
	o.judge(got, false)
	holdsEveryPair(t, o, cfg.Cluster.Bootstrap, totals(t, cfg))
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
