package e2e

import (
	"testing"
	"time"

	"github.com/itrstream/itrstream/connectors/kafka/kafkatest"
	"github.com/itrstream/itrstream/connectors/redis/redistest"
	"github.com/itrstream/itrstream/pipeline/oracle"
)

// TestRealServicesGoAway kills Redis and the broker under a running worker,
// which pauses, and goes on when they are back.
func TestRealServicesGoAway(t *testing.T) {
	broker := kafkatest.Start(t, kafkatest.Options{})
	store := redistest.Start(t, redistest.Options{AppendOnly: true})
	s := services{brokers: broker.Addrs(), redis: store.Addr()}
	cfg := configure(t, s, tinyBundle, "redis.timeout=1s")
	o := observe(t, s)
	posts := oracle.NewWriter(4)
	w := start(t, cfg)
	o.produce(posts.Many(300)...)
	for o.emitted() < 100 {
		time.Sleep(10 * time.Millisecond)
	}
	store.Kill()
	o.produce(posts.Many(200)...)
	time.Sleep(time.Second)
	store.Restart()
	o.produce(posts.Many(200)...)
	broker.Kill()
	time.Sleep(time.Second)
	broker.Restart()
	o.produce(posts.Many(200)...)
	o.wait()
	w.end(t)
	made(t, o.judge(cfg, oracle.Rules{}))
}
