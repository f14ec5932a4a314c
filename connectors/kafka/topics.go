package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/itrstream/itrstream/schemas"
	"github.com/itrstream/itrstream/stages"
)

// TopicSpec is a topic that has to exist.
type TopicSpec struct {
	Name string
	// Partitions and ReplicationFactor count only when the topic is created;
	// 0 means the broker's default.
	Partitions        int
	ReplicationFactor int
	Configs           [][2]string // name and value, for creation
}

// TopicState is a topic as it is.
type TopicState struct {
	Name       string
	Partitions int
	Created    bool // by this call
}

// EnsureTopics checks that topics exist and, when create allows it, creates
// those that do not. It returns, in the order of specs, once every partition
// has a leader.
func (c *Client) EnsureTopics(ctx context.Context, specs []TopicSpec, create bool) ([]TopicState, error) {
	// A transport of its own: the shared one may know an older world.
	fresh := c.newTransport(250 * time.Millisecond)
	defer fresh.CloseIdleConnections()
	admin := &kafkago.Client{Addr: c.addr, Transport: fresh}

	states := make([]TopicState, len(specs))
	var missing []kafkago.TopicConfig
	var names []string
	found, err := c.describe(ctx, admin, specs)
	if err != nil {
		return nil, err
	}
	for i, s := range specs {
		states[i] = TopicState{Name: s.Name, Partitions: found[i].partitions}
		if !found[i].exists {
			states[i].Created = true
			missing = append(missing, s.config())
			names = append(names, s.Name)
		}
	}
	if len(missing) > 0 && !create {
		return nil, fmt.Errorf("kafka: missing topics: %s: create them, or allow their creation", strings.Join(names, ", "))
	}
	if len(missing) > 0 {
		if err := c.createTopics(ctx, missing); err != nil {
			return nil, err
		}
	}
	err = leaders.Retry(ctx, c.log, "waiting for topics to get leaders", func() error {
		found, err := c.describe(ctx, admin, specs)
		if err != nil {
			return err
		}
		for i := range found {
			if !found[i].exists || !found[i].led {
				return &stages.Transient{Err: fmt.Errorf("kafka: topic %s has no leader yet", specs[i].Name)}
			}
			states[i].Partitions = found[i].partitions
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}

// leaders are there within a moment.
var leaders = stages.Pace{First: 50 * time.Millisecond, Most: time.Second, Silent: 5 * time.Second}

func (s TopicSpec) config() kafkago.TopicConfig {
	t := kafkago.TopicConfig{Topic: s.Name, NumPartitions: s.Partitions, ReplicationFactor: s.ReplicationFactor}
	if t.NumPartitions == 0 {
		t.NumPartitions = -1
	}
	if t.ReplicationFactor == 0 {
		t.ReplicationFactor = -1
	}
	for _, kv := range s.Configs {
		t.ConfigEntries = append(t.ConfigEntries, kafkago.ConfigEntry{ConfigName: kv[0], ConfigValue: kv[1]})
	}
	return t
}

type foundTopic struct {
	exists     bool
	led        bool // each partition has a leader
	partitions int
}

func (c *Client) describe(ctx context.Context, admin *kafkago.Client, specs []TopicSpec) ([]foundTopic, error) {
	call, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	meta, err := admin.Metadata(call, &kafkago.MetadataRequest{})
	if err != nil {
		return nil, classify(ctx, "listing topics", err)
	}
	byName := make(map[string]kafkago.Topic, len(meta.Topics))
	for _, t := range meta.Topics {
		byName[t.Name] = t
	}
	found := make([]foundTopic, len(specs))
	for i, s := range specs {
		t, ok := byName[s.Name]
		if !ok || errors.Is(t.Error, kafkago.UnknownTopicOrPartition) {
			continue
		}
		if t.Error != nil && !stages.IsTransient(classify(ctx, "", t.Error)) {
			return nil, classify(ctx, "describing topic "+s.Name, t.Error)
		}
		found[i] = foundTopic{exists: true, led: t.Error == nil && len(t.Partitions) > 0, partitions: len(t.Partitions)}
		for _, p := range t.Partitions {
			found[i].led = found[i].led && p.Error == nil && p.Leader.Host != ""
		}
	}
	return found, nil
}

func (c *Client) createTopics(ctx context.Context, topics []kafkago.TopicConfig) error {
	call, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// Through the shared transport, which then knows them.
	res, err := c.admin.CreateTopics(call, &kafkago.CreateTopicsRequest{Topics: topics})
	if err != nil {
		return classify(ctx, "creating topics", err)
	}
	var errs []error
	for _, t := range topics {
		if err := res.Errors[t.Topic]; err != nil && !errors.Is(err, kafkago.TopicAlreadyExists) {
			errs = append(errs, classify(ctx, "creating topic "+t.Topic, err))
		}
	}
	return errors.Join(errs...)
}

// TopicMaxMessageBytes returns what one batch for topic may have in bytes,
// compressed: its max.message.bytes, or the broker's message.max.bytes.
func (c *Client) TopicMaxMessageBytes(ctx context.Context, topic string) (int, error) {
	n, isDefault, err := c.intConfig(ctx, kafkago.ResourceTypeTopic, topic, "max.message.bytes")
	if err != nil || !isDefault {
		return n, err
	}
	// Kafka fills the broker's value in; kfake does not. Who may not ask a
	// broker stays with the topic's.
	meta, err := c.metadata(ctx)
	if err != nil || len(meta.Brokers) == 0 {
		return n, err
	}
	if m, _, err := c.intConfig(ctx, kafkago.ResourceTypeBroker, strconv.Itoa(meta.Brokers[0].ID), "message.max.bytes"); err == nil {
		n = m
	}
	return n, nil
}

const (
	staticBrokerConfig = 4 // sources of a configuration, as the protocol numbers them
	defaultConfig      = 5
)

// intConfig reads one configuration, and whether nobody has set it.
func (c *Client) intConfig(ctx context.Context, kind kafkago.ResourceType, resource, name string) (n int, isDefault bool, err error) {
	call, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	doing := "reading " + name + " of " + resource
	res, err := c.admin.DescribeConfigs(call, &kafkago.DescribeConfigsRequest{
		Resources: []kafkago.DescribeConfigRequestResource{{ResourceType: kind, ResourceName: resource, ConfigNames: []string{name}}},
	})
	if err != nil {
		return 0, false, classify(ctx, doing, err)
	}
	for _, r := range res.Resources {
		if r.Error != nil {
			return 0, false, classify(ctx, doing, r.Error)
		}
		for _, e := range r.ConfigEntries {
			if e.ConfigName == name {
				n, err := strconv.Atoi(e.ConfigValue)
				if err != nil {
					return 0, false, fmt.Errorf("kafka: %s: %w", doing, err)
				}
				return n, e.ConfigSource == defaultConfig || e.ConfigSource == staticBrokerConfig, nil
			}
		}
	}
	return 0, false, fmt.Errorf("kafka: %s: the broker does not tell", doing)
}

// Ends returns the offset that the next record of each partition gets. What
// the brokers do not tell is left out, and the error says why.
func (c *Client) Ends(ctx context.Context, partitions []schemas.Partition) (map[schemas.Partition]int64, error) {
	asked := make(map[string][]kafkago.OffsetRequest)
	for _, p := range partitions {
		asked[p.Topic] = append(asked[p.Topic], kafkago.LastOffsetOf(int(p.ID)))
	}
	call, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	const doing = "asking for the ends of partitions"
	res, err := c.admin.ListOffsets(call, &kafkago.ListOffsetsRequest{Topics: asked})
	if err != nil {
		return nil, classify(ctx, doing, err)
	}
	ends := make(map[schemas.Partition]int64, len(partitions))
	for topic, told := range res.Topics {
		for _, o := range told {
			if o.Error != nil {
				err = errors.Join(err, classify(ctx, doing, o.Error))
				continue
			}
			ends[schemas.Partition{Topic: topic, ID: int32(o.Partition)}] = o.LastOffset //nolint:gosec // from an int32
		}
	}
	if err == nil && len(ends) < len(partitions) {
		err = &stages.Transient{Err: fmt.Errorf("kafka: %s: the brokers left out %d of %d", doing, len(partitions)-len(ends), len(partitions))}
	}
	return ends, err
}

// Bounds returns the first offset that p's log holds and the one that the
// next record gets.
func (c *Client) Bounds(ctx context.Context, p schemas.Partition) (logStart, logEnd int64, err error) {
	call, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	doing := "asking for the bounds of " + p.String()
	id := int(p.ID)
	res, err := c.admin.ListOffsets(call, &kafkago.ListOffsetsRequest{
		Topics: map[string][]kafkago.OffsetRequest{p.Topic: {kafkago.FirstOffsetOf(id), kafkago.LastOffsetOf(id)}},
	})
	if err != nil {
		return 0, 0, classify(ctx, doing, err)
	}
	for _, o := range res.Topics[p.Topic] {
		if o.Partition != id {
			continue
		}
		if o.Error != nil {
			return 0, 0, classify(ctx, doing, o.Error)
		}
		return o.FirstOffset, o.LastOffset, nil
	}
	return 0, 0, &stages.Transient{Err: fmt.Errorf("kafka: %s: the broker left it out", doing)}
}
