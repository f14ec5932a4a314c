package pipeline

import (
	"context"
	"fmt"
	"strconv"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/pipeline/config"
)

const (
	maxMessageBytes = "max.message.bytes"
	// deadLetterRoom is what a dead letter's headers may add to its record.
	deadLetterRoom = 64 << 10
	// pairRoom is what a pair takes in a result at most: an image's URL and the
	// model's figures.
	pairRoom = 9 << 10
	// resultRoom is what a result takes beside its text and pairs.
	resultRoom = 64 << 10
	// escaped is how much longer JSON can make a byte of text.
	escaped = 6
)

// need is what a topic must take.
type need struct {
	topic, what string
	bytes       int
	instead     string
}

// EnsureTopics checks that all topics exist, creating those that don't when
// create allows it, and that nothing that comes in makes a record that the
// topics of what goes out would refuse.
func EnsureTopics(ctx context.Context, client *kafka.Client, cfg config.Config, create bool) ([]kafka.TopicState, error) {
	t := cfg.Topics
	spec := func(name string, maxBytes int) kafka.TopicSpec {
		s := kafka.TopicSpec{Name: name, Partitions: t.Partitions, ReplicationFactor: t.ReplicationFactor}
		if maxBytes > 0 {
			s.Configs = [][2]string{{maxMessageBytes, strconv.Itoa(maxBytes)}}
		}
		return s
	}
	var posts []kafka.TopicSpec
	for _, name := range t.Posts {
		posts = append(posts, spec(name, t.MaxMessageBytes))
	}
	states, err := client.EnsureTopics(ctx, posts, create)
	if err != nil {
		return nil, err
	}
	largest := 0
	for _, name := range t.Posts {
		n, err := client.TopicMaxMessageBytes(ctx, name)
		if err != nil {
			return nil, err
		}
		largest = max(largest, n)
	}

	deadLetter, result := largest+deadLetterRoom, escaped*cfg.Decode.MaxTextBytes+cfg.Decode.MaxImages*pairRoom+resultRoom
	outputs := []kafka.TopicSpec{
		spec(t.Results, result), spec(t.Moderation, result), spec(t.Review, result), spec(t.DeadLetter, deadLetter), spec(t.Clusters, 0),
	}
	if cfg.Collect.On() {
		outputs = append(outputs, spec(t.Collected, result))
	}
	created, err := client.EnsureTopics(ctx, outputs, create)
	if err != nil {
		return nil, err
	}
	needs := []need{
		{t.Results, "result", result, ", or lower decode.max_text_bytes or decode.max_images"},
		{t.Moderation, "result", result, ", or lower decode.max_text_bytes or decode.max_images"},
		{t.Review, "result", result, ", or lower decode.max_text_bytes or decode.max_images"},
		{t.DeadLetter, "dead letter", deadLetter, ""},
	}
	if cfg.Collect.On() {
		needs = append(needs, need{t.Collected, "pair of the data set", result, ", or lower decode.max_text_bytes or decode.max_images"})
	}
	for _, need := range needs {
		room, err := client.TopicMaxMessageBytes(ctx, need.topic)
		if err != nil {
			return nil, err
		}
		if room < need.bytes {
			return nil, fmt.Errorf("topic %s takes records of %d bytes, and a %s may have %d: set its max.message.bytes to that or more%s",
				need.topic, room, need.what, need.bytes, need.instead)
		}
	}
	return append(states, created...), nil
}
