package main

import (
	"context"
	"net"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// mend writes the abort markers that the embedded broker leaves out when it
// starts after a kill: it aborts what was open in memory alone, so that
// committed readers skip what the same producer commits next, and see what was
// aborted after the next kill (TestMend). Apache Kafka writes them itself.
// Nobody else may talk to the broker meanwhile.
func mend(ctx context.Context, addr string) error {
	client := func(more ...kgo.Opt) (*kgo.Client, error) {
		return kgo.NewClient(append(more, kgo.SeedBrokers(addr), kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr) // not where it says that it is
		}))...)
	}
	c, err := client()
	if err != nil {
		return err
	}
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx)
	if err != nil {
		return err
	}
	left, topics := 0, []string{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left++
		}
	})
	for t := range ends {
		topics = append(topics, t)
	}
	if left == 0 {
		return nil
	}
	reader, err := client(kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer reader.Close()
	open := map[producer]map[place]bool{}
	for left > 0 {
		fetched := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fetched.EachRecord(func(r *kgo.Record) {
			by, at := producer{r.ProducerID, r.ProducerEpoch}, place{r.Topic, r.Partition}
			switch {
			case r.Attrs.IsControl():
				delete(open[by], at)
			case r.Attrs.IsTransactional():
				if open[by] == nil {
					open[by] = map[place]bool{}
				}
				open[by][at] = true
			}
			if r.Offset == ends[r.Topic][r.Partition].Offset-1 {
				left--
			}
		})
	}
	for by, places := range open {
		for at := range places {
			if err := abort(ctx, c, by, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// producer is one epoch of a transactional id.
type producer struct {
	id    int64
	epoch int16
}

type place struct {
	topic     string
	partition int32
}

func abort(ctx context.Context, c *kgo.Client, by producer, at place) error {
	topic := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	topic.Topic, topic.Partitions = at.topic, []int32{at.partition}
	marker := kmsg.NewWriteTxnMarkersRequestMarker()
	marker.ProducerID, marker.ProducerEpoch, marker.Topics = by.id, by.epoch, []kmsg.WriteTxnMarkersRequestMarkerTopic{topic}
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Markers = []kmsg.WriteTxnMarkersRequestMarker{marker}
	for _, s := range c.RequestSharded(ctx, req) {
		if s.Err != nil {
			return s.Err
		}
		for _, m := range s.Resp.(*kmsg.WriteTxnMarkersResponse).Markers {
			if err := kerr.ErrorForCode(m.Topics[0].Partitions[0].ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}
