package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// Retention is for how long a topic keeps records.
type Retention struct {
	// Age is when records go, some time after; 0: never by age.
	Age time.Duration
	// Bytes is how many a partition keeps at most; 0: any number.
	Bytes int64
	// Compacted says that an older record of a key goes, some time after a
	// newer one came; a tombstone leaves none. Deleted, that Age and Bytes count.
	Compacted, Deleted bool
}

const (
	cleanupPolicy  = "cleanup.policy"
	retentionMs    = "retention.ms"
	retentionBytes = "retention.bytes"
)

// TopicRetention reads it from the broker. ok is false where there is no such
// topic.
func (c *Client) TopicRetention(ctx context.Context, topic string) (r Retention, ok bool, err error) {
	names := []string{cleanupPolicy, retentionMs, retentionBytes}
	call, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	doing := "reading the retention of topic " + topic
	res, err := c.admin.DescribeConfigs(call, &kafkago.DescribeConfigsRequest{
		Resources: []kafkago.DescribeConfigRequestResource{{ResourceType: kafkago.ResourceTypeTopic, ResourceName: topic, ConfigNames: names}},
	})
	if err != nil {
		return r, false, classify(ctx, doing, err)
	}
	told := make(map[string]string)
	for _, found := range res.Resources {
		if found.Error != nil {
			if errors.Is(found.Error, kafkago.UnknownTopicOrPartition) {
				return r, false, nil
			}
			return r, false, classify(ctx, doing, found.Error)
		}
		for _, e := range found.ConfigEntries {
			told[e.ConfigName] = e.ConfigValue
		}
	}
	for _, policy := range strings.Split(told[cleanupPolicy], ",") {
		r.Compacted = r.Compacted || strings.TrimSpace(policy) == "compact"
		r.Deleted = r.Deleted || strings.TrimSpace(policy) == "delete"
	}
	for name, to := range map[string]func(n int64){
		retentionMs:    func(n int64) { r.Age = time.Duration(n) * time.Millisecond },
		retentionBytes: func(n int64) { r.Bytes = n },
	} {
		text, has := told[name]
		if !has {
			return r, false, fmt.Errorf("kafka: %s: the broker does not tell %s", doing, name)
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return r, false, fmt.Errorf("kafka: %s: %s: %w", doing, name, err)
		}
		to(max(n, 0))
	}
	return r, true, nil
}
