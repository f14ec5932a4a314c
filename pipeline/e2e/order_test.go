package e2e

import (
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	embeddedredis "github.com/itrstream/itrstream/connectors/redis/embedded"
	"github.com/itrstream/itrstream/pipeline/oracle"
)

// TestTheFormerOwnerIsFencedFirst looks at the order of a worker's requests. A
// former owner who is fenced after the position was read could commit in between, and
// his batch would come twice; too rarely for a test to see it happen.
func TestTheFormerOwnerIsFencedFirst(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	var mu sync.Mutex
	var asked []string
	for _, key := range []kmsg.Key{kmsg.Heartbeat, kmsg.InitProducerID, kmsg.OffsetFetch, kmsg.AddPartitionsToTxn} {
		cluster.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			switch req := req.(type) {
			case *kmsg.OffsetFetchRequest:
				if !req.RequireStable { // kafka-go's group asks when it joins, and nobody uses the answer
					return nil, nil, false
				}
			case *kmsg.InitProducerIDRequest:
				if req.TransactionalID == nil { // the oracle's
					return nil, nil, false
				}
			}
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, key.Name())
			return nil, nil, false
		})
	}
	server, err := embeddedredis.Start()
	require.NoError(t, err)
	t.Cleanup(server.Close)
	s := services{brokers: cluster.ListenAddrs(), redis: server.Addr()}
	cfg := configure(t, s, tinyBundle, "topics.partitions=1", "kafka.heartbeat_interval=2s") // the group's own come later
	makeTopics(t, cfg)
	o := observe(t, s)
	o.produce(oracle.NewWriter(12).Many(5)...)
	w := start(t, cfg)
	o.wait()
	w.end(t)
	mu.Lock()
	defer mu.Unlock()
	require.GreaterOrEqual(t, len(asked), 4)
	require.Equal(t, []string{"Heartbeat", "InitProducerID", "OffsetFetch"}, asked[:3], "%v", asked)
	require.Greater(t, slices.Index(asked, "AddPartitionsToTxn"), 2)
}
