package e2e

import (
	"testing"
	"time"

	"github.com/itrstream/itrstream/connectors/kafka/kafkatest"
	"github.com/itrstream/itrstream/connectors/redis/redistest"
)

// TestRealServicesGoAway kills Redis and the broker under a running worker,
// which pauses, and goes on when they are back.
func TestRealServicesGoAway(t *testing.T) {
	broker := kafkatest.Start(t, kafkatest.Options{})
	store := redistest.Start(t, redistest.Options{AppendOnly: true})
	s := services{brokers: broker.Addrs(), redis: store.Addr()}
	cfg := configure(t, s, tinyBundle, "redis.timeout=1s")
	o := newOracle(t, s.brokers, "posts")
	posts := newWriter(t, 4)
	w := start(t, cfg)
	o.produce(posts.many(300)...)
	for o.emitted() < 100 {
		time.Sleep(10 * time.Millisecond)
	}
	store.Kill()
	o.produce(posts.many(200)...)
	time.Sleep(time.Second)
	store.Restart()
	o.produce(posts.many(200)...)
	broker.Kill()
	time.Sleep(time.Second)
	broker.Restart()
	o.produce(posts.many(200)...)
	got := o.wait(patience)
	w.end(t)
	o.judge(got, false)
	holdsEveryPair(t, o, cfg.Cluster.Bootstrap, totals(t, cfg))
}
