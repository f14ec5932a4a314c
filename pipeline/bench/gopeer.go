package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/itrstream/itrstream/connectors/kafka"
	"github.com/itrstream/itrstream/schemas"
)

// largeBatches are what an operator of a stream of texts would set: the queue
// must have room for a batch in which every post has its images.
var largeBatches = []string{"batch.max_rows=1024", "decode.max_images=1"}

const stubName = "3 stub"

// stubPart compares decode, map and emit where no model is needed: posts of 350
// bytes without an image. They go through the whole pipeline all the same,
// through each stage, Redis and Kafka; the peers map one message to another.
func stubPart(ctx context.Context, b *bench) error {
	const topic = "stub-text"
	n := b.backlog(textStream)
	if err := b.fill(ctx, topic, textStream, n); err != nil {
		return err
	}
	for range b.repeat {
		got := map[string]figures{}
		for _, w := range []worker{
			b.ours(kafka.AtLeastOnce, largeBatches...), b.ours(kafka.ExactlyOnce, largeBatches...),
			b.peer("stub", 1, "--stub"), b.peer("stub-two", 2, "--stub"), b.goPeer(),
		} {
			w.span = b.span / 2
			var err error
			if got[w.name], err = b.drain(ctx, w, topic, n); err != nil {
				return err
			}
		}
		least, once := got["itrstream-"+kafka.AtLeastOnce], got["itrstream-"+kafka.ExactlyOnce]
		b.table.add(about{stubName, "at least once ÷ Python, one process", "posts/s", goal{atLeast: 1}, ""}, least.rate, got["python-stub"].rate)
		b.table.add(about{stubName, "at least once ÷ Python, one process", "CPU µs/post", goal{}, ""}, 1000*least.cpu, 1000*got["python-stub"].cpu)
		b.table.add(about{stubName, "at least once ÷ Python, two processes", "posts/s", goal{atLeast: 1}, ""}, least.rate, got["python-stub-two"].rate)
		b.table.add(about{stubName, "at least once ÷ plain Go", "posts/s", goal{}, "franz-go and encoding/json: Benthos was not to be had"}, least.rate, got["go"].rate)
		b.table.add(about{stubName, "at least once ÷ plain Go", "CPU µs/post", goal{}, ""}, 1000*least.cpu, 1000*got["go"].cpu)
		b.table.add(about{stubName, "exactly once ÷ at least once", "posts/s", goal{atLeast: 0.9}, ""}, once.rate, least.rate)
	}
	b.deleteTopic(ctx, topic)
	return nil
}

// goPeer is a plain Go program.
func (b *bench) goPeer() worker {
	return worker{name: "go", processes: 1, command: func(n names) ([]string, string, []string) {
		return nil, b.self, []string{"gopeer", "--brokers", n.brokers, "--posts", n.posts, "--results", n.results, "--group", n.group}
	}}
}

// goPeerCommand reads posts, maps each to a result, and writes it, at least
// once.
func goPeerCommand() *cobra.Command {
	var brokers, posts, results, group string
	cmd := &cobra.Command{
		Use:    "gopeer",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics(posts), kgo.ConsumerGroup(group),
				kgo.DefaultProduceTopic(results), kgo.DisableAutoCommit(), kgo.ProducerBatchCompression(kgo.Lz4Compression()),
				kgo.MaxBufferedRecords(100_000), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
			if err != nil {
				return err
			}
			defer client.Close()
			for {
				if err := mapOnce(cmd.Context(), client); err != nil {
					return err
				}
			}
		},
	}
	f := cmd.Flags()
	f.StringVar(&brokers, "brokers", "", "host:port")
	f.StringVar(&posts, "posts", "", "topic to read")
	f.StringVar(&results, "results", "", "topic to write")
	f.StringVar(&group, "group", "", "consumer group")
	return cmd
}

func mapOnce(ctx context.Context, client *kgo.Client) error {
	fetches := client.PollRecords(ctx, 10_000)
	if err := fetches.Err0(); err != nil {
		return err
	}
	for fetches := fetches.RecordIter(); !fetches.Done(); {
		r := fetches.Next()
		var post schemas.Post
		if err := json.Unmarshal(r.Value, &post); err != nil {
			return err
		}
		id := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", r.Topic, r.Partition, r.Offset))
		result := schemas.Result{
			Schema: schemas.ResultSchema, ResultID: hex.EncodeToString(id[:]), Status: schemas.StatusNoImage,
			Source: post.Source, Op: schemas.OpCreate, PostID: post.PostID, Text: post.Text, Langs: post.Langs, Pairs: []schemas.Pair{},
			Input: schemas.Input{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp},
		}
		if post.CreatedAt != nil {
			result.CreatedAt = *post.CreatedAt
		}
		value, err := json.Marshal(result)
		if err != nil {
			return err
		}
		client.Produce(ctx, &kgo.Record{Key: []byte(post.PostID), Value: value}, nil)
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return client.CommitRecords(ctx, fetches.Records()...)
}
